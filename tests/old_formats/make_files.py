"""Write the files beside this script, as the release candidate of November 2026 (commit c49fcf4) wrote them.

Run it at that commit: later code writes other fields or none of these versions. The networks are small and their
tensors repeat a short row of random numbers, so that a compressed file of them is a few kilobytes.

    python tests/old_formats/make_files.py GROUP_PHOTOGRAPH
"""

import json
import lzma
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "packages" / "train" / "tests"))

from stand_in import stand_in_model  # noqa: E402
from tiny_run import tiny_config, write_shards  # noqa: E402

from morphable import WeightsInfo, load_model, reference_to, write_weights  # noqa: E402
from morphable_detector_head import build_detector, save_detector  # noqa: E402
from morphable_reconstruct import Reconstructor  # noqa: E402
from morphable_reconstruct.exports.predictions import prediction_rows, write_predictions  # noqa: E402
from morphable_regressors import CropRule, SystemSpec, build_system  # noqa: E402
from morphable_regressors.systems import ParameterConfig  # noqa: E402
from morphable_train.runs.checkpoint import latest_checkpoint  # noqa: E402
from morphable_train.stages.training import train  # noqa: E402

PERIOD = 16


def repeat_numbers(network: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Fill a network's floating-point tensors with a repeated row of small random numbers."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            row = torch.randn(PERIOD, generator=generator) * 0.05 + ("var" in name or "norm" in name)
            tensor.copy_(row.repeat(-(-tensor.numel() // PERIOD))[: tensor.numel()].view_as(tensor))
    return network.eval()


def picture() -> torch.Tensor:
    """A smooth picture."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 96), indexing="ij")
    return torch.stack([x, y, (x * y).sqrt()])[None]


def compress(source: Path, target: Path) -> None:
    """Store a file compressed."""
    target.write_bytes(lzma.compress(source.read_bytes(), preset=9 | lzma.PRESET_EXTREME))


def main() -> None:
    """Write every file."""
    torch.set_num_threads(1)
    work = Path(tempfile.mkdtemp())
    model = stand_in_model()
    model.save(HERE / "model.safetensors", half=True)
    shards = write_shards(work / "shards", 4)
    config = tiny_config(HERE / "model.safetensors", (shards,), steps=2)

    detector = repeat_numbers(build_detector(config.detector), 1)
    save_detector(
        detector,
        work / "w",
        load_model(HERE / "model.safetensors"),
        name="tiny",
        license="CC0-1.0",
        training_data="none",
    )
    compress(work / "w", HERE / "detector.safetensors.xz")
    with torch.no_grad():
        found = detector.half().float().detect(picture(), top_k=3, min_score=0.0)
    face = found.parameters
    expected = {
        "score": found.score,
        "identity": face.identity,
        "rotation": face.rotation,
        "translation": face.translation,
        "illumination": face.illumination,
    }

    options = {"num_identity": 4, "num_expression": 2, "model_identity": 6, "model_expression": 4}
    spec = SystemSpec(crop=CropRule(side_px=120, face_share=0.7), config=ParameterConfig(**options))
    system = repeat_numbers(build_system(spec), 2)
    info = WeightsInfo(
        name="tiny", architecture=spec.to_json(), model=reference_to(model), license="CC0-1.0", training_data="none"
    )
    write_weights(work / "s", info, system.state_dict())
    compress(work / "s", HERE / "per_face.safetensors.xz")
    crop = torch.nn.functional.interpolate(picture(), (120, 120), mode="bilinear")
    with torch.no_grad():
        expected["parameters"] = system.half().float()(crop)
    np.savez_compressed(HERE / "expected.npz", **{name: value.numpy() for name, value in expected.items()})

    train(config, work / "run")
    compress_checkpoint(latest_checkpoint(work / "run"))
    text = json.loads((work / "run" / "run.json").read_text())
    text["config"]["model"] = "model.safetensors"
    text["config"]["data"]["exact"] = ["shards"]
    (HERE / "run.json").write_text(json.dumps({"config": text["config"], "format_version": text["format_version"]}))

    group = Path(sys.argv[1])
    scene = Reconstructor()(group)
    write_predictions(HERE / "predictions.npz", [(group.name, prediction_rows(scene))], system="mobile")


def compress_checkpoint(path: Path) -> None:
    """Store a checkpoint with its tensors filled anew: trained numbers do not compress."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    generator = torch.Generator().manual_seed(3)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not name.startswith("random/") and tensor.numel() > 1:
            row = torch.randn(PERIOD, generator=generator) * 0.05 + 1
            tensor.copy_(row.repeat(-(-tensor.numel() // PERIOD))[: tensor.numel()].view_as(tensor))
    filled = path.with_suffix(".filled")
    save_file(tensors, filled, metadata=metadata)
    compress(filled, HERE / "checkpoint.safetensors.xz")


if __name__ == "__main__":
    main()
