"""Train a small landmark network on synthetic scenes alone and test it on photographs: how far is synth from reality?

Every folder of shards (single faces, `morphable-synth generate --scenes.layout single`) trains the same network from
random weights with the same seed and number of steps; crops come from the true boxes, in training and test. Labels are
the contour points (`ibug68_contour`), which is what Helen and AFW mean. One prediction file per folder and data set is
written for `evalkit nme` and `evalkit compare`:

    python packages/synth/tools/gap_to_reality.py --shards full no_hdr_light --photographs ../shared/data/faces_dev \
        --out gap
    evalkit nme --preds gap/*/helen.npz --dataset helen --root ../shared/data/faces_dev/helen --form gt-crop
"""

import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from morphable import IBUG68_FLIP
from morphable_synth import read_shard

LABELS = "landmarks68.json"
CROP_PX = 96
STORED_PX = 144
"""Training crops are kept larger than the network's input, so that augmentation can move and turn them."""
CONTEXT = 1.3
"""Side of the crop, in longer sides of the box of the 68 points."""
STORED_CONTEXT = CONTEXT * STORED_PX / CROP_PX


@dataclass(frozen=True, kw_only=True)
class GapConfig:
    """What is trained on what."""

    shards: tuple[Path, ...]
    """Folders of shards with single faces, one network each, named after the folder; or of photographs with
    `landmarks68.json`, for what the same training reaches on real faces."""
    photographs: Path
    """Folder with `helen/` and `afw_single/`."""
    out: Path
    """Folder for prediction files."""
    scenes: int = 780
    """Scenes used of each folder."""
    steps: int = 1000
    """Training steps."""
    batch: int = 32
    """Faces per step."""
    learning_rate: float = 2e-3
    """Highest rate of the one-cycle schedule."""
    seed: int = 0
    """Of weights, order and augmentation."""


def crop_matrix(box: Float[np.ndarray, "4"], context: float, size_px: int) -> Float[np.ndarray, "2 3"]:
    """Return the affine map from picture pixels to the square crop around a box."""
    center, side = (box[:2] + box[2:]) / 2, context * (box[2:] - box[:2]).max()
    scale = size_px / side
    return np.array([[scale, 0, size_px / 2 - scale * center[0]], [0, scale, size_px / 2 - scale * center[1]]])


def crop(picture: Image.Image, matrix: Float[np.ndarray, "2 3"], size_px: int) -> UInt8[np.ndarray, "rows cols 3"]:
    """Cut the square out; black outside the picture."""
    left, top = (-matrix[k, 2] / matrix[k, k] for k in (0, 1))
    side = size_px / matrix[0, 0]
    edges = (round(left), round(top), round(left + side), round(top + side))
    cut = picture.convert("RGB").crop(edges)
    box = (left - edges[0], top - edges[1], left - edges[0] + side, top - edges[1] + side)
    inside = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], cut.width), min(box[3], cut.height))
    return np.asarray(cut.resize((size_px, size_px), Image.Resampling.LANCZOS, inside, reducing_gap=2.0))


def tight(points: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "4"]:
    """Return the box of points."""
    return np.concatenate([points.min(0), points.max(0)])


def read_faces(folder: Path, count: int) -> tuple[UInt8[Tensor, "faces 3 side side"], Float[Tensor, "faces 68 2"]]:
    """Read the first faces of a folder of shards, or of photographs, as stored crops; points in crop pixels."""
    faces = (face[1:] for face in photographs(folder)) if (folder / LABELS).is_file() else synthetic(folder)
    pictures, points = [], []
    for picture, marks in islice(faces, count):
        matrix = crop_matrix(tight(marks), STORED_CONTEXT, STORED_PX)
        pictures.append(crop(picture, matrix, STORED_PX))
        points.append(marks @ matrix[:, :2].T + matrix[:, 2])
    if len(pictures) < count:
        raise ValueError(f"shards must hold {count} faces, got {len(pictures)} in {folder}; generate more")
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), torch.from_numpy(np.stack(points)).float()


def synthetic(folder: Path) -> Iterator[tuple[Image.Image, Float[np.ndarray, "68 2"]]]:
    """Yield picture and contour points of the nearest face of each scene that has one."""
    for path in sorted(folder.glob("*.tar")):
        for scene in read_shard(path):
            if len(scene.labels["identity"]):
                yield Image.fromarray(scene.image), scene.labels["landmarks68_contour_px"][0].astype(np.float64)


def augmented(
    pictures: UInt8[Tensor, "faces 3 side side"], points: Float[Tensor, "faces 68 2"], rng: torch.Generator
) -> tuple[Float[Tensor, "faces 3 crop crop"], Float[Tensor, "faces 68 2"]]:
    """Cut network inputs out of stored crops: moved, scaled, turned, half of them mirrored, other contrast and tint.

    Returns:
        Inputs of about unit variance, and points in input pixels over `CROP_PX`, from the middle.
    """
    count = len(pictures)

    def draw(spread: float, *shape: int) -> Tensor:
        return (torch.rand(count, *shape, generator=rng) * 2 - 1) * spread

    angle, zoom, shift = draw(0.35), torch.exp(draw(0.12)), draw(0.06, 2)
    flip = torch.where(torch.rand(count, generator=rng) < 0.5, -1.0, 1.0)
    turn = torch.stack([angle.cos() * flip, -angle.sin(), angle.sin() * flip, angle.cos()], -1).view(-1, 2, 2)
    forward = turn / zoom[:, None, None]  # from stored crop to input, both in input widths from the middle
    ratio = CROP_PX / STORED_PX
    grid = nn.functional.affine_grid(
        torch.cat([torch.linalg.inv(forward) * ratio, (-torch.linalg.inv(forward) @ shift[..., None]) * ratio * 2], -1),
        [count, 3, CROP_PX, CROP_PX],
        align_corners=False,
    )
    out = nn.functional.grid_sample(pictures.float() / 255, grid, align_corners=False)
    out = (out - 0.45 + draw(0.1, 1, 1, 1)) * torch.exp(draw(0.3, 1, 1, 1)) * torch.exp(draw(0.1, 3, 1, 1)) / 0.25
    centered = (points - STORED_PX / 2) / CROP_PX
    moved = centered @ forward.mT + shift[:, None]
    mirrored = torch.where((flip < 0)[:, None, None], moved[:, torch.as_tensor(IBUG68_FLIP)], moved)
    return out, mirrored


def train(config: GapConfig, folder: Path) -> nn.Module:
    """Train one network on one folder of shards."""
    pictures, points = read_faces(folder, config.scenes)
    torch.manual_seed(config.seed)
    rng = torch.Generator().manual_seed(config.seed)
    network = build_network(mean_shape(points)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, config.steps, pct_start=0.1)
    started, total = time.process_time(), 0.0
    for step in range(1, config.steps + 1):
        chosen = torch.randint(len(pictures), (config.batch,), generator=rng)
        inputs, targets = augmented(pictures[chosen], points[chosen], rng)
        predicted = network(inputs.contiguous(memory_format=torch.channels_last)).view(-1, 68, 2)
        loss = (predicted - targets).norm(dim=-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        if step % 100 == 0:
            spent = time.process_time() - started
            sys.stderr.write(f"{folder.name} step {step}: {total:.2f} % of the crop, {spent:.0f} s of processor time\n")
            total = 0.0
    return network.eval()


def build_network(start: Float[Tensor, "68 2"]) -> nn.Module:
    """Build eight convolutions and one linear layer (about 0.9 M weights) that begin by answering ``start``."""
    widths, strides = (3, 24, 48, 48, 96, 96, 128, 128, 192), (2, 2, 1, 2, 1, 2, 1, 2)
    layers: list[nn.Module] = []
    for inputs, outputs, stride in zip(widths[:-1], widths[1:], strides, strict=True):
        layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    answer = nn.Linear(widths[-1] * (CROP_PX // math.prod(strides)) ** 2, start.numel())
    nn.init.zeros_(answer.weight)
    answer.bias.data = start.flatten()
    return nn.Sequential(*layers, nn.Flatten(), answer)


def mean_shape(points: Float[Tensor, "faces 68 2"]) -> Float[Tensor, "68 2"]:
    """Return the mean points of upright crops in the network's unit: where training starts."""
    return ((points - STORED_PX / 2) / CROP_PX).mean(0)


def photographs(folder: Path) -> Iterator[tuple[str, Image.Image, Float[np.ndarray, "68 2"]]]:
    """Yield name, picture and points of a labeled folder."""
    for name, entry in sorted(json.loads((folder / LABELS).read_text()).items()):
        with Image.open(folder / name) as picture:
            yield name, picture.convert("RGB"), np.array(entry["landmarks68_px"], np.float64)


@torch.no_grad()
def predict(network: nn.Module, folder: Path, out: Path, system: str) -> float:
    """Write the prediction file of a labeled folder; return the mean error over sqrt(w*h) of the true box."""
    rows: dict[str, list[object]] = {"name": [], "size": [], "points": [], "error": []}
    for name, picture, marks in photographs(folder):
        box = tight(marks)
        matrix = crop_matrix(box, CONTEXT, CROP_PX)
        pixels = torch.from_numpy(crop(picture, matrix, CROP_PX)).permute(2, 0, 1)[None].float() / 255
        both = torch.cat([pixels, pixels.flip(-1)])
        found = network(((both - 0.45) / 0.25).contiguous(memory_format=torch.channels_last)).view(2, 68, 2)
        mirrored = found[1, torch.as_tensor(IBUG68_FLIP)] * torch.tensor([-1.0, 1.0])
        points = ((found[0] + mirrored) / 2).numpy().astype(np.float64) * CROP_PX + CROP_PX / 2
        points = (points - matrix[:, 2]) / np.diag(matrix[:, :2])
        rows["name"].append(name)
        rows["size"].append((picture.height, picture.width))
        rows["points"].append(points)
        rows["error"].append(np.linalg.norm(points - marks, axis=1).mean() / np.sqrt((box[2:] - box[:2]).prod()))
    points_px = np.array(rows["points"], np.float32)
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        out,
        format_version=1,
        system=system,
        processed_image=rows["name"],
        processed_size_hw=rows["size"],
        image=rows["name"],
        image_size_hw=rows["size"],
        score=np.ones(len(points_px), np.float32),
        box_xyxy_px=np.concatenate([points_px.min(1), points_px.max(1)], -1),
        landmarks68_contour_px=points_px,
    )
    return float(np.mean(np.array(rows["error"], np.float64)))


def main() -> int:
    """Train and test one network per folder."""
    config = tyro.cli(GapConfig)
    for folder in config.shards:
        network = train(config, folder)
        for name in ("helen", "afw_single"):
            error = predict(network, config.photographs / name, config.out / folder.name / f"{name}.npz", folder.name)
            sys.stdout.write(f"{folder.name} {name} {100 * error:.2f} %\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
