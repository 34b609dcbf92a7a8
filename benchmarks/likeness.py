"""Does a reconstructed face look like the person? Photographs with 68 points against the project's own pictures.

`python benchmarks/likeness.py --root FACES_DEV --judge mobilefacenet_068.ckpt` prints one table per set and, with
`--sheet FOLDER`, draws contact sheets: photograph, render (albedo and light), textured render in the photograph's view
and turned by 30 degrees to either side.

- rank 1: share of pictures whose nearest masked photograph of the set, judged by MobileFaceNet, is their own person's.
- color error: mean |render - photograph| (0 to 1) by part of the rendered face; of the skin also without the pixels in
  which the bundled parsing network sees something before it (hair, hands, glasses).
- brow to forehead: luminance of the brows over that of the forehead, in the render and in the photograph.
- gap and lid: opening of the inner lips and of the lids, as a share of sqrt(w h) of the 68 points' box.

Photographs are numbered by name from 1: odd ones are for choosing, even ones for reporting (`--half`).
"""

import json
import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from face_embedding import FaceEmbedding, align
from jaxtyping import Bool, Float
from PIL import Image

from morphable_reconstruct import Face, ReconstructConfig, Reconstructor, Scene
from morphable_reconstruct.drawing.layers import SceneImage
from morphable_reconstruct.drawing.parsing import parse_face
from morphable_reconstruct.drawing.textured import render_textured
from morphable_reconstruct.drawing.textures import photo_texture
from morphable_reconstruct.drawing.unwrapping import texture_mesh

Half = Literal["all", "choosing", "reporting"]
Picture = Float[np.ndarray, "rows cols 3"]
NOT_SHOWN = ("scalp", "neck", "ears")
"""Parts left out of every comparison: the photograph shows hair and collars there."""
TURNS_RAD = (math.radians(30), math.radians(-30))
MIN_OVERLAP = 0.5
"""Boxes of a reconstructed face and of its annotation overlap by at least this (intersection over union)."""
MIN_PIXELS = 30
"""Parts with fewer pixels are not compared."""
SHUT_GAP = 0.006
"""Mouths with an annotated gap below this share are shut."""
DRAWN_OPEN_GAP = 0.012
BARE = 0.5
"""Probability of the face itself above which nothing covers it."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
GRAY = 0.5


@dataclass(frozen=True, kw_only=True)
class LikenessConfig:
    """Measure how much reconstructed faces look like their photographs."""

    root: Path
    """Folder of sets, each with pictures and `landmarks68.json` (`faces_dev`)."""
    judge: Path
    """Checkpoint of MobileFaceNet."""
    sets: tuple[str, ...] = ("helen",)
    """Sets to measure."""
    weights: str = "mobile"
    """Weights of the reconstruction."""
    texture_px: int = 512
    """Side of the textures."""
    half: Half = "all"
    """Photographs used: all, those of odd number (choosing) or of even number (reporting)."""
    limit: int = 0
    """At most this many photographs of each set; 0: all."""
    sheet: Path | None = None
    """Folder for the contact sheets."""
    sheet_px: int = 192
    """Side of the sheets' tiles."""
    portraits: tuple[Path, ...] = ()
    """Photographs without landmarks, drawn on a sheet of their own."""
    min_face_px: float = 100.0
    """Smaller faces stay off the sheet of the portraits."""
    json: Path | None = None
    """File for the numbers."""
    reconstruct: ReconstructConfig = field(default_factory=ReconstructConfig)


@dataclass
class Measured:
    """What was found on one set."""

    photograph: list[np.ndarray] = field(default_factory=list)
    render: list[np.ndarray] = field(default_factory=list)
    textured: list[np.ndarray] = field(default_factory=list)
    turned: list[list[np.ndarray]] = field(default_factory=list)
    gap: list[tuple[float, float]] = field(default_factory=list)
    lid: list[tuple[float, float]] = field(default_factory=list)
    brow: list[tuple[float, float]] = field(default_factory=list)
    color: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By part of the rendered face."""
    bare_skin: list[float] = field(default_factory=list)
    """Of the skin that nothing covers."""
    tiles: list[list[np.ndarray]] = field(default_factory=list)
    missed: int = 0


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of the boxes of two sets of points."""
    low, high = np.maximum(first.min(0), second.min(0)), np.minimum(first.max(0), second.max(0))
    shared = np.prod(np.maximum(high - low, 0))
    return float(shared / (np.prod(np.ptp(first, axis=0)) + np.prod(np.ptp(second, axis=0)) - shared))


def gap(points: np.ndarray) -> float:
    """Opening of the inner lips over the size of the face."""
    opening = np.linalg.norm(points[[61, 62, 63]] - points[[67, 66, 65]], axis=1).mean()
    return float(opening / np.sqrt(np.prod(np.ptp(points, axis=0))))


def lid(points: np.ndarray) -> float:
    """Opening of the lids over the size of the face."""
    opening = np.linalg.norm(points[[37, 38, 43, 44]] - points[[41, 40, 47, 46]], axis=1).mean()
    return float(opening / np.sqrt(np.prod(np.ptp(points, axis=0))))


def turned(face: Face, angle_rad: float) -> Face:
    """The face turned about its own vertical axis."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    alone = face.scene.take(np.array([face.index]))
    rotation = alone.faces.rotation_head @ torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    return replace(alone, faces=replace(alone.faces, rotation_head=rotation))[0]


def shown_triangles(scene: Scene) -> Bool[np.ndarray, " tris"]:
    """Triangles that comparisons look at."""
    names = [name for name in scene.model.part_names if name not in NOT_SHOWN]
    return np.isin(scene.model.part_labels.numpy(), [scene.model.part_names.index(name) for name in names])


def textured(scene: Scene, face: Face, texture: torch.Tensor, background: Picture) -> tuple[Picture, np.ndarray]:
    """A textured picture of one face in the photograph's camera, and where it shows what is compared."""
    image = render_textured(
        torch.from_numpy(face.vertices_cam_m)[None],
        texture_mesh(face.model),
        [texture],
        focal_px=scene.camera.focal_px,
        background=torch.from_numpy(background).float(),
    )
    mask = image.mask.numpy() & shown_triangles(scene)[image.triangle.numpy()]
    return image.rgb.numpy(), mask


def masked(picture: Picture, mask: np.ndarray) -> Picture:
    """The picture with gray around the face."""
    return np.where(mask[..., None], picture, GRAY)


def compare_colors(found: Measured, scene: Scene, drawn: SceneImage, photo: Picture) -> None:
    """Note the color error by part, and how dark the brows are."""
    names = scene.model.part_names
    inside = drawn.mask & ~np.isin(drawn.part, [names.index(name) for name in NOT_SHOWN])
    for index, name in enumerate(names):
        where = inside & (drawn.part == index)
        if name not in NOT_SHOWN and where.sum() > MIN_PIXELS:
            found.color[name].append(float(np.abs(drawn.rgb[where] - photo[where]).mean()))
    brows = inside & np.isin(drawn.part, [names.index("left_brow"), names.index("right_brow")])
    rows = np.nonzero(brows)[0]
    if len(rows) <= MIN_PIXELS:
        return
    forehead = inside & (drawn.part == names.index("skin"))
    forehead[max(rows.min() - 2, 0) :] = False
    if forehead.sum() > MIN_PIXELS:
        render, real = (
            float((picture[brows] @ LUMINANCE).mean() / max(float((picture[forehead] @ LUMINANCE).mean()), 1e-3))
            for picture in (drawn.rgb, photo)
        )
        found.brow.append((render, real))


def compare_bare_skin(found: Measured, scene: Scene, face: Face, drawn: SceneImage) -> None:
    """Note the color error of the skin where the photograph shows it."""
    shown = parse_face(face)
    row, col = np.nonzero(drawn.mask & (drawn.part == scene.model.part_names.index("skin")))
    if shown is None:
        return
    bare = shown.face_at(torch.from_numpy(np.stack([col, row], 1) + 0.5).float()).numpy() > BARE
    if bare.sum() > MIN_PIXELS:
        row, col = row[bare], col[bare]
        found.bare_skin.append(float(np.abs(drawn.rgb[row, col] - scene.image[row, col] / 255.0).mean()))


def measure_face(found: Measured, scene: Scene, face: Face, truth: np.ndarray, config: LikenessConfig) -> None:
    """Compare one face with its photograph."""
    photo = scene.image / 255.0
    points = face.landmarks68_contour_px
    found.gap.append((gap(truth), gap(points)))
    found.lid.append((lid(truth), lid(points)))
    drawn = scene.take(np.array([face.index])).render()
    compare_colors(found, scene, drawn, photo)
    compare_bare_skin(found, scene, face, drawn)
    inside = drawn.mask & ~np.isin(drawn.part, [scene.model.part_names.index(name) for name in NOT_SHOWN])
    found.photograph.append(align(masked(photo, inside), truth))
    found.render.append(align(masked(drawn.rgb, inside), truth))
    texture = torch.from_numpy(photo_texture(face, size_px=config.texture_px, depth_m=scene.depth_m).rgb).float()
    same, mask = textured(scene, face, texture, photo)
    found.textured.append(align(masked(same, mask), truth))
    sides = []
    for angle in TURNS_RAD:
        other = turned(face, angle)
        picture, mask = textured(scene, other, texture, np.full_like(photo, GRAY))
        sides.append(align(masked(picture, mask), other.landmarks68_px))
    found.turned.append(sides)
    if config.sheet is not None:
        found.tiles.append(sheet_row(scene, face, texture, config.sheet_px))


def cut(picture: np.ndarray, box: tuple[float, ...], side_px: int) -> Picture:
    """A box of a picture of bytes as a square tile."""
    image = Image.fromarray(picture)
    tile = image.transform((side_px, side_px), Image.Transform.EXTENT, box, resample=Image.Resampling.BICUBIC)
    return np.asarray(tile) / 255.0


def sheet_row(scene: Scene, face: Face, texture: torch.Tensor, side_px: int) -> list[np.ndarray]:
    """Photograph, render, textured render from three sides, all as large."""
    left, top, right, bottom = face.box_xyxy_px
    half = 0.85 * max(right - left, bottom - top)
    center = np.array([(left + right) / 2, (top + bottom) / 2 - 0.1 * half])
    scale = side_px / (2 * half)
    box = (*(center - half).tolist(), *(center + half).tolist())
    photo = cut(scene.image, box, side_px)
    drawn = scene.take(np.array([face.index])).render(background=np.full((*scene.image.shape[:2], 3), GRAY, np.float32))
    row = [photo, cut(np.uint8(drawn.rgb * 255), box, side_px)]
    principal = scene.camera.principal_px
    for angle in (0.0, *TURNS_RAD):
        other = face if angle == 0.0 else turned(face, angle)
        image = render_textured(
            torch.from_numpy(other.vertices_cam_m)[None],
            texture_mesh(face.model),
            [texture],
            focal_px=scene.camera.focal_px * scale,
            background=torch.full((side_px, side_px, 3), GRAY),
            center_px=tuple(((principal - center + half) * scale).tolist()),
        )
        row.append(image.rgb.numpy())
    return row


def summary(found: Measured, judge: FaceEmbedding) -> dict[str, Any]:
    """The numbers of one set."""
    photographs = judge.embed(found.photograph)

    def rank1(crops: list[np.ndarray]) -> float:
        nearest = (judge.embed(crops) @ photographs.T).argmax(1)
        return float((nearest == np.arange(len(nearest))).mean())

    similar = judge.embed(found.render) @ photographs.T
    others = ~np.eye(len(similar), dtype=bool)
    gaps, lids, brows = np.array(found.gap), np.array(found.lid), np.array(found.brow).reshape(-1, 2)
    shut = gaps[:, 0] < SHUT_GAP
    parts = {f"color error, {name}": float(np.mean(values)) for name, values in found.color.items()}
    return {
        "faces": len(similar),
        "missed": found.missed,
        "rank 1, render": rank1(found.render),
        "rank 1, textured": rank1(found.textured),
        "rank 1, textured, turned 30 degrees": float(
            np.mean([rank1([sides[k] for sides in found.turned]) for k in range(len(TURNS_RAD))])
        ),
        "cosine, render": float(np.diag(similar).mean()),
        "cosine, render, other people": float(similar[others].mean()),
        "brow to forehead, render": float(np.median(brows[:, 0])) if len(brows) else None,
        "brow to forehead, photograph": float(np.median(brows[:, 1])) if len(brows) else None,
        "gap, correlation": float(np.corrcoef(gaps.T)[0, 1]),
        "shut mouths": int(shut.sum()),
        "shut mouths drawn open": float((gaps[shut, 1] > DRAWN_OPEN_GAP).mean()) if shut.any() else None,
        "lid, correlation": float(np.corrcoef(lids.T)[0, 1]),
        "lid, annotated": float(lids[:, 0].mean()),
        "lid, drawn": float(lids[:, 1].mean()),
        **parts,
        "color error, skin that nothing covers": float(np.mean(found.bare_skin)) if found.bare_skin else None,
    }


def chosen(names: list[str], config: LikenessConfig) -> list[str]:
    """The photographs of the wanted half, in order of their names."""
    numbered = list(enumerate(sorted(names), start=1))
    parity = {"all": (0, 1), "choosing": (1,), "reporting": (0,)}[config.half]
    kept = [name for number, name in numbered if number % 2 in parity]
    return kept[: config.limit] if config.limit else kept


def measure_set(folder: Path, reconstructor: Reconstructor, config: LikenessConfig) -> Measured:
    """Reconstruct and compare every annotated face of a set."""
    table = json.loads((folder / "landmarks68.json").read_text())
    found = Measured()
    for name in chosen(list(table), config):
        scene = reconstructor(folder / name)
        annotated = np.array(table[name]["landmarks68_px"], dtype=float).reshape(-1, 68, 2)
        for truth in annotated:
            best = max(scene, key=lambda face: overlap(face.landmarks68_contour_px, truth), default=None)
            if best is None or overlap(best.landmarks68_contour_px, truth) < MIN_OVERLAP:
                found.missed += 1
                continue
            measure_face(found, scene, best, truth, config)
    return found


def draw_sheet(rows: list[list[np.ndarray]], path: Path, *, columns: int) -> None:
    """Write rows of tiles, several rows side by side."""
    strips = [np.concatenate(row, axis=1) for row in rows]
    strips += [np.ones_like(strips[0])] * (-len(strips) % columns)
    lines = [np.concatenate(strips[start : start + columns], axis=1) for start in range(0, len(strips), columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.uint8(np.clip(np.concatenate(lines), 0, 1) * 255)).save(path)


def portrait_rows(reconstructor: Reconstructor, config: LikenessConfig) -> list[list[np.ndarray]]:
    """A row of tiles for every face of the portraits."""
    rows = []
    for path in config.portraits:
        scene = reconstructor(path)
        for face in scene:
            if np.ptp(face.box_xyxy_px.reshape(2, 2), axis=0).max() < config.min_face_px:
                continue
            texture = torch.from_numpy(
                photo_texture(face, size_px=config.texture_px, depth_m=scene.depth_m).rgb
            ).float()
            rows.append(sheet_row(scene, face, texture, config.sheet_px))
    return rows


def main() -> None:
    """Measure the sets and print their tables."""
    config = tyro.cli(LikenessConfig, description=__doc__)
    torch.set_num_threads(1)
    reconstructor = Reconstructor(config.weights, config=config.reconstruct)
    judge = FaceEmbedding(config.judge)
    results = {}
    for name in config.sets:
        found = measure_set(config.root / name, reconstructor, config)
        results[name] = summary(found, judge)
        print(f"| {name}, {config.half} | |\n|---|---|")
        for measure, value in results[name].items():
            print(f"| {measure} | {value if isinstance(value, int) or value is None else f'{value:.3f}'} |")
        print()
        if config.sheet is not None:
            draw_sheet(found.tiles, config.sheet / f"{name}.png", columns=2)
    if config.portraits and config.sheet is not None:
        draw_sheet(portrait_rows(reconstructor, config), config.sheet / "portraits.png", columns=2)
    if config.json is not None:
        config.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
