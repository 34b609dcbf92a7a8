"""Measure per-face networks: points on true crops of AFLW2000-3D, surfaces and parts on held-out scenes, time a face.

    python benchmarks/regressors.py --networks mobile_frnet FILE --root ../shared/data
    python benchmarks/regressors.py --networks mobile_frnet FILE --held-out SHARDS
    python benchmarks/regressors.py --networks DFMVR_FILE --triples TRIPLES
    python benchmarks/regressors.py --networks DFMVR_FILE --people ../shared/data/faces_dev/three_view
    python benchmarks/regressors.py --parsing FILE --held-out SHARDS

Networks are fed the crop of their own rule around the original labels (Mobile-FRNet's is that of 3DDFA's benchmark)
and scored on the same 68 points as `evalkit nme --form gt-crop` would, in the pixels of the photograph. The pictures
come in two halves, every other one in the order of their yaw, so that weights can be chosen on one and reported on the
other. DF-MVR sees each crop three times.

`--people` holds photographs in folders `0`, `1`, `2` (views from the person's left, from the front, from the right), a
person's under names that differ in their last digit alone. Shapes without expression from two of the views are compared
with those from the third alone, of the same person and of the others.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from jaxtyping import Float
from PIL import Image
from timing import timings
from torch import Tensor

from morphable import MorphableModel, load_model, read_weights
from morphable.geometry import GLOBAL_FOCAL_PX, Pinhole, camera_from_model
from morphable_evalkit import DatasetConfig, GroundTruth, nme, open_dataset, summarize
from morphable_evalkit.measures.dense import DENSE_DEFINITIONS, dense_error
from morphable_evalkit.reports.tables import Table, percent, to_markdown
from morphable_reconstruct import Reconstructor
from morphable_reconstruct.reconstructor.per_face.weights import PerFaceNetwork, load_per_face
from morphable_regressors import CropRule, SystemSpec, crop_matrices, cut_crops, load_system
from morphable_regressors.crops import boxes_of_landmarks
from morphable_regressors.dfmvr import repeat_views
from morphable_regressors.parsing import PARSING_CLASSES
from morphable_regressors.poses import view_poses
from morphable_regressors.systems import ParameterRegressor, PositionMapRegressor
from morphable_render import position_map_layout
from morphable_render.uv import PositionMapKind, PositionMapLayout
from morphable_train.configs.recipes import RecipeConfig, RecipeData
from morphable_train.data.surface import SurfaceSample
from morphable_train.recipes.base.batches import CropBatch, finish_crops, plain_crops
from morphable_train.recipes.base.crops import open_part_crops
from morphable_train.recipes.base.held_out import HeldOut
from morphable_train.recipes.base.measures import shape_error_mm
from morphable_train.recipes.base.targets import points_in_crop
from morphable_train.recipes.dfmvr.views import NUM_VIEWS, group_views
from morphable_train.recipes.parsing.recipe import classes_of, confusion, intersection_over_union

BATCH = 32
LABELS = ("original", "reannotated")
HALVES = {"both": slice(None), "first": slice(0, None, 2), "second": slice(1, None, 2)}
FRONT = 1
TIMED_CROPS = 12


@dataclass(frozen=True, kw_only=True)
class AccuracyConfig:
    """Accuracy of per-face networks."""

    networks: tuple[str, ...] = ()
    """Mobile-FRNet, PRNet or DF-MVR by bundled name, or weights files of them."""
    parsing: tuple[Path, ...] = ()
    """Weights files of parsing networks."""
    root: Path = Path("../shared/data")
    """Folder that holds `faces_dev/aflw2000` and `aflw2000_gt`."""
    held_out: tuple[Path, ...] = ()
    """Folders of shards of single faces, with parts for parsing."""
    triples: tuple[Path, ...] = ()
    """Folders of `morphable-train triples`, for DF-MVR."""
    people: Path | None = None
    """Folder of photographs of people in three views, for DF-MVR."""
    num_threads: int = 2
    """Threads."""


def vertices_in_crops(
    network: PerFaceNetwork, model: MorphableModel, crops: Float[Tensor, "faces 3 side side"]
) -> Float[Tensor, "faces verts 3"]:
    """Return every vertex that a network finds: x right, y down, depth into the scene, in pixels of the crop."""
    system: Any = network.system
    if isinstance(system, ParameterRegressor):
        faces = system.faces(crops)
        return faces.project(model.decode_shape(faces.identity, faces.expression))
    if isinstance(system, PositionMapRegressor):
        return _layout(model, network.crop.side_px, system.layout).decode(system.positions(crops))
    found = system(repeat_views(crops[:, None], NUM_VIEWS))
    rotation, translation = (pose[:, FRONT] for pose in view_poses(found, network.crop))
    points_cam = camera_from_model(model.decode_shape(found.identity, found.expression), rotation, translation)
    xy = Pinhole((network.crop.side_px, network.crop.side_px)).project(points_cam)
    origin_m = translation[:, None, 2:]
    return torch.cat([xy, (points_cam[..., 2:] - origin_m) * GLOBAL_FOCAL_PX / origin_m], dim=-1)


@lru_cache(maxsize=1)
def _layout(model: MorphableModel, side_px: int, kind: PositionMapKind) -> PositionMapLayout:
    """Texels of a face model; kept, as `reconstruct` does."""
    return position_map_layout(model, side_px, kind=kind)


@torch.inference_mode()
def points_on_true_crops(
    network: PerFaceNetwork, model: MorphableModel, truth: GroundTruth
) -> tuple[Float[np.ndarray, "faces 68 2"], float]:
    """Return the 68 points in the crops around the true faces, in the photographs' pixels, and processor ms a face."""
    assert truth.pictures is not None
    matrices = crop_matrices(boxes_of_landmarks(torch.from_numpy(truth.points_px).float()), network.crop)
    found, crops = [], []
    for name, matrix in zip(truth.image, matrices, strict=True):
        pixels = np.array(Image.open(truth.pictures / name).convert("RGB"))
        picture = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255.0
        crops.append(cut_crops(picture, matrix[None], network.crop.side_px))
        points = model.landmarks(vertices_in_crops(network, model, crops[-1]))
        found.append((points[0, :, :2] - matrix[:2, 2]) / matrix[0, 0])
    (took,) = timings(partial(_each, network, model, crops[:TIMED_CROPS]), repeats=3, clock=time.process_time)
    return torch.stack(found).double().numpy(), took.best / min(TIMED_CROPS, len(crops))


def _each(network: PerFaceNetwork, model: MorphableModel, crops: list[Tensor]) -> None:
    for crop in crops:
        vertices_in_crops(network, model, crop)


def score_points(names: tuple[str, ...], root: Path) -> Table:
    """Score weights on both label sets of AFLW2000-3D; the crops are those of the original labels."""
    folders = {"root": root / "faces_dev/aflw2000", "arrays": root / "aflw2000_gt"}
    truths = {name: open_dataset(DatasetConfig(dataset="aflw2000", labels=name, **folders)) for name in LABELS}
    model, rows = load_model("open"), []
    for name in names:
        points, took = points_on_true_crops(load_per_face(name, model), model, truths["original"])
        order = np.argsort(np.abs(truths["original"].yaw_deg))
        for labels, truth in truths.items():
            errors = nme(points, truth.points_px, normalizer="bbox")
            for half, part in HALVES.items():
                chosen = order[part]
                summary = summarize(errors[chosen], truth.yaw_deg[chosen])
                bins = [f"{percent(entry.mean)} ({entry.num_faces})" for entry in summary.bins]
                means = percent(summary.balanced_mean), percent(summary.mean)
                rows.append((Path(name).stem, labels, half, *bins, *means, f"{took:.1f}"))
    return Table(
        title="AFLW2000-3D, true crops: NME in % of the box of the 68 points (faces)",
        columns=("weights", "labels", "half", "0-30", "30-60", "60-90", "mean of bins", "mean", "ms"),
        rows=tuple(rows),
        notes=(truths["original"].name, "ms: processor time of network and vertices, one face at a time"),
    )


def held_out_batches(rule: CropRule, folders: tuple[Path, ...], model: MorphableModel) -> Iterator[CropBatch]:
    """Cut all faces of some shards by their true boxes."""
    data = RecipeData(margin=1.0, max_held_out=sys.maxsize)
    with tempfile.TemporaryDirectory() as cache:
        crops = open_part_crops(folders, Path(cache), rule, data, model)
        held_out = HeldOut(crops, RecipeConfig(crop=rule, data=data), model, SurfaceSample(model))
        for start in range(0, held_out.count, BATCH):
            yield held_out.batch(start, start + BATCH)


@torch.inference_mode()
def score_dense(names: tuple[str, ...], folders: tuple[Path, ...]) -> Table:
    """Measure 68 points and the whole face (definitions D1 and D2 of docs/evaluation.md) on held-out scenes."""
    model = load_model("open")
    inside = model.region("face")
    rows = []
    for name in names:
        network = load_per_face(name, model)
        errors: dict[str, list[float]] = {"68 points": [], "D1": [], "D2": []}
        for batch in held_out_batches(network.crop, folders, model):
            shape = model.decode_shape(batch.faces.identity, batch.faces.expression)
            goal = points_in_crop(shape, batch.faces, network.crop.side_px)
            found = vertices_in_crops(network, model, batch.image)
            points, truth = (model.landmarks(each)[..., :2].double().numpy() for each in (found, goal))
            errors["68 points"] += nme(points, truth, normalizer="bbox").tolist()
            pairs = zip(found[:, inside].double().numpy(), goal[:, inside].double().numpy(), truth, strict=True)
            for one, other, marks in pairs:
                for key in ("D1", "D2"):
                    meant = DENSE_DEFINITIONS[key]
                    errors[key].append(dense_error(one, other, marks, dims=3, z_align=meant.z_align, box=meant.box))
        cells = (percent(float(np.mean(values))) for values in errors.values())
        rows.append((Path(name).stem, str(len(errors["D1"])), *cells))
    return Table(
        title="Held-out scenes, true crops: NME in %, means over faces",
        columns=("weights", "faces", "68 points", "D1", "D2"),
        rows=tuple(rows),
    )


@torch.inference_mode()
def score_views(names: tuple[str, ...], folders: tuple[Path, ...]) -> Table:
    """Measure DF-MVR's shapes from three views, and from the front one alone, against the model's mean shape."""
    model = load_model("open")
    surface, rows = SurfaceSample(model), []
    data = RecipeData(margin=1.0)
    for name in names:
        network = load_per_face(name, model)
        errors: dict[str, list[Tensor]] = {"mean face": [], "three views": [], "one view": []}
        with tempfile.TemporaryDirectory() as cache:
            crops = open_part_crops(folders, Path(cache), network.crop, data, model, parts=False)
            people = group_views(crops)
            for some in people.split(BATCH):
                loaded = plain_crops(crops, some.flatten(), network.crop)
                batch = finish_crops(loaded, network.crop, model, surface)
                views, faces = batch.image.unflatten(0, (-1, NUM_VIEWS)), batch.faces
                known = surface.few.decode_shape(faces.identity, faces.expression)[::NUM_VIEWS]
                neutral = torch.zeros(len(some), model.num_identity), torch.zeros(len(some), model.num_expression)
                errors["mean face"].append(shape_error_mm(surface.few.decode_shape(*neutral), known))
                alone = repeat_views(views[:, FRONT : FRONT + 1], NUM_VIEWS)
                for key, given in (("three views", views), ("one view", alone)):
                    found = network.system(given)
                    shape = surface.few.decode_shape(found.identity, found.expression)
                    errors[key].append(shape_error_mm(shape, known))
        means = {key: float(torch.cat(values).mean()) for key, values in errors.items()}
        cells = [f"{value:.2f}" for value in means.values()]
        ratio, gain = means["three views"] / means["mean face"], 1 - means["three views"] / means["one view"]
        rows.append((Path(name).stem, str(len(people)), *cells, f"{ratio:.3f}", percent(gain, 1)))
    return Table(
        title="Held-out people in three views: distance of surface points after a similarity fit, mm",
        columns=("weights", "people", "mean face", "three views", "one view", "three to mean", "below one view, %"),
        rows=tuple(rows),
    )


def score_people(names: tuple[str, ...], folder: Path) -> Table:
    """Compare shapes from two views of a person with shapes from the third, of the same person and of others."""
    people = [
        [folder / str(view) / f"{path.stem[:-1]}{view}{path.suffix}" for view in range(NUM_VIEWS)]
        for path in sorted((folder / "0").iterdir())
    ]
    rows = []
    for name in names:
        reconstructor = Reconstructor(per_face=name)
        surface = SurfaceSample(reconstructor.model)
        for alone in range(NUM_VIEWS):
            pairs, singles = (
                torch.stack([_neutral_shape(reconstructor, surface, [views[k] for k in chosen]) for views in people])
                for chosen in ([k for k in range(NUM_VIEWS) if k != alone], [alone])
            )
            count = len(people)
            distance = shape_error_mm(pairs.repeat_interleave(count, 0), singles.repeat(count, 1, 1))
            table = distance.view(count, count)
            others = table[~torch.eye(count, dtype=torch.bool)]
            hits = int((table.argmin(1) == torch.arange(count)).sum())
            cells = f"{table.diagonal().mean():.2f}", f"{others.mean():.2f}", f"{hits} of {count}"
            rows.append((Path(name).stem, ("left", "front", "right")[alone], *cells))
    return Table(
        title="Photographs of people: distance of neutral shapes from two views and from the third, mm",
        columns=("weights", "third view", "same person", "another", "nearest is the same"),
        rows=tuple(rows),
    )


@torch.inference_mode()
def _neutral_shape(reconstructor: Reconstructor, surface: SurfaceSample, views: list[Path]) -> Float[Tensor, "few 3"]:
    """Points of the shape of a person without expression."""
    (face,) = reconstructor.views(views)
    identity = torch.from_numpy(face.identity)
    return surface.few.decode_shape(identity, identity.new_zeros(reconstructor.model.num_expression))


@torch.inference_mode()
def score_parsing(paths: tuple[Path, ...], folders: tuple[Path, ...]) -> Table:
    """Measure intersection over union of each class over all pixels of crops cut by their true boxes."""
    model = load_model("open").requires_grad_(False)
    rows = []
    for path in paths:
        info, state = read_weights(path)
        spec = SystemSpec.from_json(info.architecture)
        if spec.network != "parsing":
            raise ValueError(f"parsing must be weights of that network, got {spec.network} in {path}")
        system, count = load_system(spec, state), 0
        counts = torch.zeros(len(PARSING_CLASSES), len(PARSING_CLASSES), dtype=torch.double)
        for batch in held_out_batches(spec.crop, folders, model):
            counts += confusion(system(batch.image).argmax(1), classes_of(batch.part))
            count += len(batch)
        ious = intersection_over_union(counts)
        rows.append((path.stem, str(count), *(percent(float(v), 1) for v in ious), percent(float(ious.mean()))))
    columns = ("weights", "faces", *(name.replace("_", " ") for name in PARSING_CLASSES), "mean")
    return Table(title="Held-out scenes: intersection over union in %", columns=columns, rows=tuple(rows))


def main() -> int:
    """Print one table a measurement."""
    config = tyro.cli(AccuracyConfig, description=__doc__)
    torch.set_num_threads(config.num_threads)
    if config.people is not None:
        print(to_markdown(score_people(config.networks, config.people)))
    elif config.triples:
        print(to_markdown(score_views(config.networks, config.triples)))
    elif config.networks and config.held_out:
        print(to_markdown(score_dense(config.networks, config.held_out)))
    elif config.networks:
        print(to_markdown(score_points(config.networks, config.root)))
    if config.parsing:
        print(to_markdown(score_parsing(config.parsing, config.held_out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
