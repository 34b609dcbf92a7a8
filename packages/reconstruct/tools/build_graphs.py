"""Export the graphs of the bundled weights, with and without their face head, and of the parsing network.

    python packages/reconstruct/tools/build_graphs.py

Run this after weights with another configuration were bundled, and after a change of the network's code. A graph holds
no weights: it belongs to a configuration (`detectors.graph_name`), and all weights of that configuration share it.
Graphs that no bundled weights need are removed. Needs the extra `export`; about 2 minutes for each graph.
"""

import sys
from dataclasses import replace

import torch

from morphable import read_weights, read_weights_info
from morphable_detector_head import build_detector
from morphable_detector_head.export import export_onnx, write_graph
from morphable_detector_head.weights import detector_config
from morphable_reconstruct.drawing.parsing import GRAPH_FILE, GRAPH_PREFIX, WEIGHTS_FILE, ParserGraph
from morphable_reconstruct.reconstructor.detectors import GRAPH_FOLDER, graph_name
from morphable_reconstruct.reconstructor.weights import bundled_names, find_weights
from morphable_regressors import SystemSpec, build_system


def main() -> int:
    """Export what is needed; remove the rest."""
    configs = []
    for name in bundled_names():
        path = find_weights(name)
        config = detector_config(read_weights(path)[0], path)
        configs += [config, replace(config, face_head=None)]
    needed = {graph_name(config): config for config in configs}
    GRAPH_FOLDER.mkdir(exist_ok=True)
    for name, config in needed.items():
        export_onnx(build_detector(config).eval(), GRAPH_FOLDER / name, with_weights=False)
        print(f"{name}: {(GRAPH_FOLDER / name).stat().st_size / 1e6:.2f} MB")
    for path in GRAPH_FOLDER.glob("*.onnx"):
        if path.name not in needed:
            path.unlink()
    export_parser()
    return 0


def export_parser() -> None:
    """Export the network that `--save overlay` and textures ask what covers a face."""
    spec = SystemSpec.from_json(read_weights_info(WEIGHTS_FILE).architecture)
    parser = build_system(spec).eval()
    example = torch.zeros(1, 3, spec.crop.side_px, spec.crop.side_px)
    write_graph(
        torch.export.export(ParserGraph(parser), (example,), strict=False),
        GRAPH_FILE,
        weights={GRAPH_PREFIX + name for name in parser.state_dict()},
        input_names=("crop",),
        output_names=("probability",),
        with_weights=False,
    )


if __name__ == "__main__":
    sys.exit(main())
