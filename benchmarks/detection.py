"""Measure how well faces are told from everything else: false faces, turned faces, and the score as a probability.

`python benchmarks/detection.py --root ../shared/data --shards SHARDS` prints a Markdown table. `SHARDS` are groups of
a series that nobody trains on: `morphable-synth generate --scenes.level makehuman --scenes.assets ../shared/data
--scenes.layout group --seed 951 --count 100 --out SHARDS`. Of `backgrounds/`, every second picture by name trains the
face head's score (`morphable-train negatives`, `calibrate`); the pictures between are measured here. `--sheet` draws
the detections in AFW's groups that no label explains, to be looked at: not every face there is labeled.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Bool, Float
from PIL import Image

from morphable.geometry import box_iou, box_of_points
from morphable_reconstruct import ReconstructConfig, Reconstructor, Scene
from morphable_train.data.shards import ShardReader
from morphable_train.face_head.calibration import calibration_error

ANGLES_DEG = (0, 45, 90, 135, 180)
LEAST_IOU = 0.4
"""Overlap of the boxes of 68 points from which on a detection is the labeled face."""
FAINTEST = 0.02
"""Score from which on detections are kept, so that thresholds can be chosen afterwards."""
RECALL = 0.99
TILE_PX, TILES_PER_ROW = 128, 10


@dataclass(frozen=True, kw_only=True)
class DetectionConfig:
    """Measure detection."""

    root: Path
    """Folder that holds `faces_dev/` and `backgrounds/`."""
    weights: str = "mobile"
    """Name or file of the weights."""
    shards: Path | None = None
    """Folder of shards of synthetic groups."""
    face_head: bool = True
    """Use the face head."""
    sheet: Path | None = None
    """PNG of the detections in AFW's groups that no label explains."""


@dataclass(frozen=True)
class Matched:
    """The detections of some pictures beside their labels."""

    score: Float[np.ndarray, " detections"]
    is_labeled: Bool[np.ndarray, " detections"]
    best_of_labels: Float[np.ndarray, " labels"]
    """Score of the detection of each label; 0 where there is none."""


def main() -> None:
    """Print the table."""
    config = tyro.cli(DetectionConfig)
    options = ReconstructConfig(min_score=FAINTEST, colors="network", face_head=config.face_head, batch_size=1)
    reconstructor = Reconstructor(config.weights, config=options)
    threshold = reconstructor.defaults.min_score
    groups = labeled_pictures(config.root / "faces_dev" / "afw_multi")
    tiles: list[Image.Image] = []
    found = joined([match(reconstructor, path, points, 0, tiles, threshold) for path, points in groups])
    singles = labeled_pictures(config.root / "faces_dev" / "afw_single")
    photographs = sorted((config.root / "backgrounds").glob("*.jpg"))[1::2]
    false = [reconstructor(path).score for path in photographs]
    at_recall = float(np.sort(found.best_of_labels)[int((1 - RECALL) * len(found.best_of_labels))])
    rows = [
        (f"false faces per background at {RECALL} recall of afw_multi", mean_above(false, at_recall, strict=False)),
        ("the threshold that gives this recall", at_recall),
        ("false faces per background at the weights' threshold", mean_above(false, threshold)),
        ("the weights' threshold", threshold),
        ("afw_multi: labeled faces lost at it", float((found.best_of_labels <= threshold).sum())),
        ("afw_multi: detections without a label at it", float((found.score[~found.is_labeled] > threshold).sum())),
    ]
    for angle in ANGLES_DEG:
        turned = joined([match(reconstructor, path, points, angle) for path, points in singles])
        rows.append(
            (f"recall of afw_single turned by {angle} degrees", float((turned.best_of_labels > threshold).mean()))
        )
    if config.shards is not None:
        scenes = synthetic(reconstructor, config.shards)
        score = np.concatenate([scenes.score, *false])
        truth = np.concatenate([scenes.is_labeled, *(np.zeros(len(s), bool) for s in false)])
        rows.append(
            ("calibration error of the score, synthetic groups and backgrounds", calibration_error(score, truth))
        )
    print("| measure | value |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value:.3f} |")
    if config.sheet is not None:
        contact_sheet(tiles).save(config.sheet)


def labeled_pictures(folder: Path) -> list[tuple[Path, Float[np.ndarray, "faces 68 2"]]]:
    """Return the pictures of a set with the points of their faces."""
    labels = json.loads((folder / "landmarks68.json").read_text())
    return [
        (folder / name, np.asarray(entry["landmarks68_px"], float).reshape(-1, 68, 2)) for name, entry in labels.items()
    ]


def match(
    reconstructor: Reconstructor,
    path: Path,
    points: Float[np.ndarray, "faces 68 2"],
    angle_deg: int,
    tiles: list[Image.Image] | None = None,
    threshold: float = 0.0,
) -> Matched:
    """Detect in a picture turned counterclockwise, and give each label the best detection that overlaps it."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    turned = picture.rotate(angle_deg, expand=True, resample=Image.Resampling.BICUBIC, fillcolor=(128,) * 3)
    angle = np.radians(angle_deg)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    moved = (points - np.array(picture.size) / 2) @ turn.T + np.array(turned.size) / 2
    scene = reconstructor(np.asarray(turned))
    result = matched(scene, moved)
    if tiles is not None:
        strange = np.flatnonzero(~result.is_labeled & (result.score > threshold))
        tiles.extend(tile(turned, scene.landmarks68_px[k]) for k in strange)
    return result


def matched(scene: Scene, points: Float[np.ndarray, "faces 68 2"]) -> Matched:
    """Match a scene's faces with labels, each label with the best detection left."""
    best, labeled = np.zeros(len(points)), np.zeros(len(scene), bool)
    if len(scene) and len(points):
        boxes = (box_of_points(torch.from_numpy(np.asarray(p, np.float64))) for p in (scene.landmarks68_px, points))
        overlap = box_iou(*boxes).numpy()
        for k in np.argsort(-scene.score):
            free = np.where(best == 0, overlap[k], 0.0)
            if free.max() >= LEAST_IOU:
                best[free.argmax()] = scene.score[k]
                labeled[k] = True
    return Matched(np.asarray(scene.score, float), labeled, best)


def joined(parts: list[Matched]) -> Matched:
    """Put the results of pictures together."""
    return Matched(*(np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])))


def synthetic(reconstructor: Reconstructor, shards: Path) -> Matched:
    """Match the faces of synthetic groups."""
    reader = ShardReader(shards)
    records = (reader.read(index) for index in range(len(reader)))
    return joined([matched(reconstructor(r.image), r.labels.landmarks68_px) for r in records])


def mean_above(scores: list[Float[np.ndarray, " faces"]], threshold: float, *, strict: bool = True) -> float:
    """Return the mean number of scores above a threshold."""
    return float(np.mean([(s > threshold if strict else s >= threshold).sum() for s in scores]))


def tile(picture: Image.Image, points: Float[np.ndarray, "68 2"]) -> Image.Image:
    """Cut a detection out, with a margin."""
    low, high = points.min(0), points.max(0)
    center, half = (low + high) / 2, (high - low).max() * 0.8
    box = tuple(int(v) for v in (*(center - half), *(center + half)))
    return picture.crop(box).resize((TILE_PX, TILE_PX))


def contact_sheet(tiles: list[Image.Image]) -> Image.Image:
    """Lay tiles out in rows."""
    rows = max(1, -(-len(tiles) // TILES_PER_ROW))
    sheet = Image.new("RGB", (TILES_PER_ROW * TILE_PX, rows * TILE_PX))
    for k, part in enumerate(tiles):
        sheet.paste(part, ((k % TILES_PER_ROW) * TILE_PX, (k // TILES_PER_ROW) * TILE_PX))
    return sheet


if __name__ == "__main__":
    main()
