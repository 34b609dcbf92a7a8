"""Export the graphs of the bundled weights and of the parsing network.

    python packages/reconstruct/tools/build_graphs.py

Run this after weights with another configuration or another face head were bundled, and with a new `_GRAPH_VERSION`
after a change of the network's code. A graph holds no weights: it belongs to a configuration, or to the names and
shapes of a face head's weights (`detectors.graph_names`). What is there already stays; graphs that no bundled weights
need are removed. Needs the extra `export`; about 2 minutes for each graph.
"""

import sys
from pathlib import Path

import torch

from morphable import read_weights, read_weights_info
from morphable_detector_head.export import write_graph
from morphable_detector_head.weights import detector_config
from morphable_reconstruct.drawing.parsing import GRAPH_FILE, GRAPH_PREFIX, WEIGHTS_FILE, ParserGraph
from morphable_reconstruct.reconstructor.detectors import GRAPH_FOLDER, export_graphs
from morphable_reconstruct.reconstructor.weights import bundled_names, find_weights
from morphable_regressors import SystemSpec, build_system


def main() -> int:
    """Export what is needed; remove the rest."""
    needed = set[Path]()
    for path in map(find_weights, bundled_names()):
        info, state = read_weights(path)
        needed |= set(export_graphs(detector_config(info, path), state, path, GRAPH_FOLDER))
    for path in GRAPH_FOLDER.glob("*.onnx"):
        if path not in needed:
            path.unlink()
    for path in sorted(needed):
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
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
