"""Options of the command line; no heavy import here, so that `reconstruct --help` is quick."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.video.options import VideoConfig

PICTURE_KINDS = (
    *("overlay", "views", "glb", "obj", "ply", "json", "npz", "csv"),
    *("render", "frontal", "depth", "segmentation", "parts", "axes", "texture", "crop"),
)
"""What can be saved of a picture."""
VIDEO_KINDS = ("overlay", "json", "csv", "glb")
"""What can be saved of a video."""
SAVE_KINDS = tuple(dict.fromkeys((*PICTURE_KINDS, *VIDEO_KINDS)))


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Reconstruct every face of photographs and videos in 3D.

    >>> RunConfig(sources=("photos",), save="overlay,glb").save
    'overlay,glb'
    """

    sources: tyro.conf.Positional[tuple[str, ...]]
    """Pictures, folders (recursive), globs, videos, or webcam[:NUMBER]."""
    out: Path = Path("out")
    """Folder of the results; pictures already done with the same options are skipped."""
    save: str = "overlay,json"
    """What to write, separated by commas: overlay, views, glb, obj, ply, json, npz, csv, render,
    frontal, depth, segmentation, parts, axes, texture, crop. Videos give overlay, json, csv and glb (animated, one per
    person)."""
    preds: Path | None = None
    """Also write the prediction file that evalkit reads."""
    preds_vertices: bool = False
    """Every vertex of every face stands in the prediction file, for dense measures."""
    json: Path | None = None
    """Also write the summary for machines."""
    weights: str = "mobile"
    """Bundled weights by name (mobile), a weights file, or the official WM3DR checkpoint (.pth, with BFM 2009 as
    `--model`)."""
    model: str = "open"
    """Face model: open, or a model file."""
    per_face: str | None = None
    """Network that reconstructs each face from a crop of its own, after the single-shot network's boxes:
    mobile_frnet, or a weights file of Mobile-FRNet, PRNet or DF-MVR."""
    weights_dir: Path | None = None
    """Folder whose NAME.safetensors are found by name, before the bundled weights."""
    csv: Literal["table", "livelink"] = "table"
    """What .csv files hold: one table with a row per face, or a file per person with the columns of the app Live Link
    Face."""
    texture: Literal["photo", "delit", "albedo", "none"] = "photo"
    """Texture of .glb and .obj: the photograph where it shows the face, the same without its light, or reflectance."""
    texture_px: int | None = None
    """Side of textures; by default as many texels as the photograph has pixels, at most 2048."""
    mesh: Literal["head", "face"] = "head"
    """What .glb and .obj hold: the whole head, or the face that the photograph can show."""
    debug_cells: int | None = None
    """Also draw the faces that the cells around each peak decode to, so many on each side (1: 3 x 3 cells); with the
    torch engine."""
    overwrite: bool = False
    """Do everything again."""
    engine_cluster: Literal["none", "ray"] = "none"
    """Spread pictures over the machines of a Ray cluster, or over the cores of this one."""
    workers: int = 2
    """Ray workers."""
    reconstruct: Annotated[ReconstructConfig, tyro.conf.arg(name="")] = field(default_factory=ReconstructConfig)
    video: VideoConfig = field(default_factory=VideoConfig)

    def __post_init__(self) -> None:
        _check_kinds(self.save_kinds, SAVE_KINDS)
        _check_vertices(self.preds_vertices, self.preds)
        if self.debug_cells is not None:
            object.__setattr__(self, "reconstruct", _for_cells(self.debug_cells, self.reconstruct))
        for name in ("texture_px", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

    @property
    def save_kinds(self) -> tuple[str, ...]:
        """The parts of `save`.

        >>> RunConfig(sources=("photos",), save="glb, json").save_kinds
        ('glb', 'json')
        """
        return _split_kinds(self.save)


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """Reconstruct one person from a left, a front and a right photograph with DF-MVR."""

    views: tyro.conf.Positional[tuple[Path, ...]]
    """Left (seen from the person's left), front, right. One picture stands for all three; with two, the second stands
    for front and right."""
    out: Path = Path("out")
    """Folder of the results, which carry the front picture's name."""
    save: str = "overlay,json"
    """What to write, separated by commas: overlay, views, glb, obj, ply, json, npz, csv, render, frontal,
    depth, segmentation, parts, axes, texture, crop."""
    preds: Path | None = None
    """Also write the prediction file that evalkit reads."""
    preds_vertices: bool = False
    """Every vertex of every face stands in the prediction file, for dense measures."""
    json: Path | None = None
    """Also write the summary for machines."""
    weights: str = "mobile"
    """Weights of the single-shot network that finds the faces: bundled by name (mobile), or a weights file."""
    model: str = "open"
    """Face model: open, or a model file."""
    per_face: str
    """Weights file of DF-MVR, or its name in the folder `weights_dir`."""
    weights_dir: Path | None = None
    """Folder whose NAME.safetensors are found by name, before the bundled weights."""
    texture: Literal["photo", "delit", "albedo", "none"] = "photo"
    """Texture of .glb and .obj: the photograph where it shows the face, the same without its light, or reflectance."""
    texture_px: int | None = None
    """Side of textures; by default as many texels as the photograph has pixels, at most 2048."""
    mesh: Literal["head", "face"] = "head"
    """What .glb and .obj hold: the whole head, or the face that the photograph can show."""
    reconstruct: Annotated[ReconstructConfig, tyro.conf.arg(name="")] = field(default_factory=ReconstructConfig)

    def __post_init__(self) -> None:
        _check_kinds(self.save_kinds, PICTURE_KINDS)
        _check_vertices(self.preds_vertices, self.preds)
        if self.texture_px is not None and self.texture_px < 1:
            raise ValueError(f"texture_px must be at least 1, got {self.texture_px}")

    @property
    def save_kinds(self) -> tuple[str, ...]:
        """The parts of `save`."""
        return _split_kinds(self.save)


def _split_kinds(save: str) -> tuple[str, ...]:
    """Parts of a list separated by commas."""
    return tuple(kind for kind in (part.strip() for part in save.split(",")) if kind)


def _check_vertices(vertices: bool, preds: Path | None) -> None:
    """Refuse vertices without a file to write them to."""
    if vertices and preds is None:
        raise ValueError("preds must name a file for preds_vertices, got none")


def _for_cells(radius: int, config: ReconstructConfig) -> ReconstructConfig:
    """Return the options with the engine that can look at cells beside a peak."""
    if radius < 0:
        raise ValueError(f"debug_cells must be 0 or more cells on each side, got {radius}")
    if config.engine not in ("auto", "torch"):
        raise ValueError(f"engine must be torch or auto with debug_cells, got {config.engine}")
    return replace(config, engine="torch")


def _check_kinds(kinds: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Refuse an empty list and unknown kinds."""
    if not kinds:
        raise ValueError(f"save must name at least one of {', '.join(known)}, got none")
    for kind in kinds:
        if kind not in known:
            raise ValueError(f"save must be of {', '.join(known)}, got {kind!r}")
