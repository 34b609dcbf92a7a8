"""Measure the accuracy of per-face networks: Mobile-FRNet on true crops of AFLW2000-3D, parsing on held-out scenes.

    python benchmarks/regressors.py --mobile-frnet FILE --root ../shared/data
    python benchmarks/regressors.py --parsing FILE --held-out SHARDS

Mobile-FRNet is fed the crop of 3DDFA's benchmark around the original labels and scored on the same 68 points as
`evalkit nme --form gt-crop` would, in the pixels of the photograph.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from jaxtyping import Float
from PIL import Image

from morphable import check_model, load_model, read_weights
from morphable_evalkit import DatasetConfig, GroundTruth, nme, open_dataset, summarize
from morphable_evalkit.reports.tables import Table, percent, to_markdown
from morphable_regressors import SystemSpec, crop_matrices, cut_crops, load_system
from morphable_regressors.crops import boxes_of_landmarks
from morphable_regressors.parsing import PARSING_CLASSES
from morphable_train.configs.recipes import ParsingConfig, RecipeData
from morphable_train.data.surface import SurfaceSample
from morphable_train.recipes.base.crops import open_part_crops
from morphable_train.recipes.base.held_out import HeldOut
from morphable_train.recipes.parsing.recipe import classes_of, confusion, intersection_over_union

BATCH = 32
LABELS = ("original", "reannotated")


@dataclass(frozen=True, kw_only=True)
class AccuracyConfig:
    """Accuracy of per-face networks."""

    mobile_frnet: tuple[Path, ...] = ()
    """Weights files of Mobile-FRNet."""
    parsing: tuple[Path, ...] = ()
    """Weights files of parsing networks."""
    root: Path = Path("../shared/data")
    """Folder that holds `faces_dev/aflw2000` and `aflw2000_gt`."""
    held_out: tuple[Path, ...] = ()
    """Folders of shards with parts, for parsing."""


def read_network(path: Path, kind: str) -> tuple[SystemSpec, Any]:
    """Return a network and its specification.

    Raises:
        ValueError: The file is of another network.
    """
    info, state = read_weights(path)
    spec = SystemSpec.from_json(info.architecture)
    if spec.network != kind:
        raise ValueError(f"{kind} must be weights of that network, got {spec.network} in {path}")
    if kind != "parsing":
        check_model(info, load_model("open"))
    return spec, load_system(spec, state)


@torch.inference_mode()
def points_on_true_crops(path: Path, truth: GroundTruth) -> Float[np.ndarray, "faces 68 2"]:
    """Return the 68 points that Mobile-FRNet finds in the crops around the true faces, in the photographs' pixels."""
    spec, system = read_network(path, "mobile_frnet")
    model = load_model("open")
    assert truth.pictures is not None
    matrices = crop_matrices(boxes_of_landmarks(torch.from_numpy(truth.points_px).float()), spec.crop)
    found = []
    for name, matrix in zip(truth.image, matrices, strict=True):
        pixels = np.array(Image.open(truth.pictures / name).convert("RGB"))
        picture = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255.0
        faces = system.faces(cut_crops(picture, matrix[None], spec.crop.side_px))
        points = faces.project(model.landmarks(model.decode_shape(faces.identity, faces.expression)))
        found.append((points[0, :, :2] - matrix[:2, 2]) / matrix[0, 0])
    return torch.stack(found).double().numpy()


def score_mobile_frnet(paths: tuple[Path, ...], root: Path) -> Table:
    """Score weights on both label sets of AFLW2000-3D; the crops are those of the original labels."""
    folders = {"root": root / "faces_dev/aflw2000", "arrays": root / "aflw2000_gt"}
    truths = {name: open_dataset(DatasetConfig(dataset="aflw2000", labels=name, **folders)) for name in LABELS}
    rows = []
    for path in paths:
        points = points_on_true_crops(path, truths["original"])
        for labels, truth in truths.items():
            summary = summarize(nme(points, truth.points_px, normalizer="bbox"), truth.yaw_deg)
            bins = [percent(entry.mean) for entry in summary.bins]
            rows.append((path.stem, labels, *bins, percent(summary.balanced_mean), percent(summary.mean)))
    counts = "/".join(str(entry.num_faces) for entry in summary.bins)
    return Table(
        title="AFLW2000-3D, true crops: NME in % of the box of the 68 points",
        columns=("weights", "labels", "0-30", "30-60", "60-90", "mean of bins", "mean"),
        rows=tuple(rows),
        notes=(f"{truths['original'].name}; faces by yaw {counts}",),
    )


@torch.inference_mode()
def score_parsing(paths: tuple[Path, ...], folders: tuple[Path, ...]) -> Table:
    """Measure intersection over union of each class over all pixels of crops cut by their true boxes."""
    model = load_model("open").requires_grad_(False)
    rows = []
    for path in paths:
        spec, system = read_network(path, "parsing")
        data = RecipeData(margin=1.0, max_held_out=sys.maxsize)
        config = ParsingConfig(crop=spec.crop, data=data)
        with tempfile.TemporaryDirectory() as cache:
            crops = open_part_crops(folders, Path(cache), spec.crop, data, model)
            held_out = HeldOut(crops, config, model, SurfaceSample(model))
            counts = torch.zeros(len(PARSING_CLASSES), len(PARSING_CLASSES), dtype=torch.double)
            for start in range(0, held_out.count, BATCH):
                batch = held_out.batch(start, start + BATCH)
                counts += confusion(system(batch.image).argmax(1), classes_of(batch.part))
        ious = intersection_over_union(counts)
        rows.append(
            (path.stem, str(held_out.count), *(percent(float(v), 1) for v in ious), percent(float(ious.mean())))
        )
    columns = ("weights", "faces", *(name.replace("_", " ") for name in PARSING_CLASSES), "mean")
    return Table(title="Held-out scenes: intersection over union in %", columns=columns, rows=tuple(rows))


def main() -> int:
    """Print one table a kind of network."""
    config = tyro.cli(AccuracyConfig, description=__doc__)
    if config.mobile_frnet:
        print(to_markdown(score_mobile_frnet(config.mobile_frnet, config.root)))
    if config.parsing:
        print(to_markdown(score_parsing(config.parsing, config.held_out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
