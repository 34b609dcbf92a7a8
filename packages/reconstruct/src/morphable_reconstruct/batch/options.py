"""Options of the command line; no heavy import here, so that `reconstruct --help` is quick."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.video.options import VideoConfig

SAVE_KINDS = ("overlay", "views", "glb", "obj", "ply", "json", "npz", "depth", "segmentation", "texture", "csv")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Reconstruct every face of photographs and videos in 3D."""

    sources: tyro.conf.Positional[tuple[str, ...]]
    """Pictures, folders (recursive), globs, videos, or webcam[:NUMBER]."""
    out: Path = Path("out")
    """Folder of the results; pictures already done with the same options are skipped."""
    save: str = "overlay,json"
    """What to write, separated by commas: overlay, views, glb, obj, ply, json, npz, depth, segmentation,
    texture, and for videos csv."""
    preds: Path | None = None
    """Also write the prediction file that evalkit reads."""
    json: Path | None = None
    """Also write the summary for machines."""
    weights: str = "mobile"
    """Bundled weights by name (mobile), or a weights file."""
    model: str = "open"
    """Face model: open, or a model file. Or a network that reconstructs each face from a crop of its own, after the
    single-shot network's boxes: mobile_frnet, prnet, dfmvr (sources are left, front, right of one person), or a
    weights file of one."""
    texture: Literal["albedo", "photo", "none"] = "albedo"
    """Texture of .glb and .obj: reflectance, or the photograph where it sees the face."""
    texture_px: int = 512
    """Side of textures."""
    debug_cells: bool = False
    """Also draw the faces decoded from the cells around each peak."""
    overwrite: bool = False
    """Do everything again."""
    engine_cluster: Literal["none", "ray"] = "none"
    """Spread pictures over the machines of a Ray cluster, or over the cores of this one."""
    workers: int = 2
    """Ray workers."""
    reconstruct: Annotated[ReconstructConfig, tyro.conf.arg(name="")] = field(default_factory=ReconstructConfig)
    video: VideoConfig = field(default_factory=VideoConfig)

    def __post_init__(self) -> None:
        for kind in self.save_kinds:
            if kind not in SAVE_KINDS:
                raise ValueError(f"save must be of {', '.join(SAVE_KINDS)}, got {kind!r}")
        for name in ("texture_px", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def save_kinds(self) -> tuple[str, ...]:
        """The parts of `save`."""
        return tuple(kind for kind in (part.strip() for part in self.save.split(",")) if kind)
