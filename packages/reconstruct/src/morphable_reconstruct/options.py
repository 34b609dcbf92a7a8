"""Options of the command line; no heavy import here, so that `reconstruct --help` is quick."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from morphable_reconstruct.config import ReconstructConfig

SAVE_KINDS = ("overlay", "views", "glb", "obj", "ply", "json", "npz", "depth", "segmentation", "texture", "csv")


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """How faces are followed through a video."""

    smooth: bool = True
    """Smooth poses and coefficients over time with the One-Euro filter."""
    min_cutoff_hz: float = 1.5
    """Cut-off frequency of the filter for a face at rest: lower is smoother and later."""
    beta: float = 4.0
    """How much the cut-off rises with speed: higher follows fast motion sooner."""
    max_gap_s: float = 0.5
    """A face that was not seen for longer gets a new track id."""
    every: int = 1
    """Use every n-th frame."""

    def __post_init__(self) -> None:
        if not self.min_cutoff_hz > 0.0:
            raise ValueError(f"min_cutoff_hz must be positive, got {self.min_cutoff_hz}")
        if self.beta < 0.0 or self.max_gap_s < 0.0:
            raise ValueError(f"beta and max_gap_s must be at least 0, got {self.beta} and {self.max_gap_s}")
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")


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


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """Open a local page on which photographs are looked at in 3D."""

    photo: tyro.conf.Positional[Path | None] = None
    """A photograph to start with."""
    weights: str = "mobile"
    """Bundled weights by name (mobile), or a weights file."""
    model: str = "open"
    """Face model: open, or a model file; or a per-face network, as for `reconstruct`."""
    host: str = "127.0.0.1"
    """Address to listen on; the default is reachable from this machine only."""
    port: int = 8080
    """Port to listen on."""
    reconstruct: Annotated[ReconstructConfig, tyro.conf.arg(name="")] = field(default_factory=ReconstructConfig)


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Answer HTTP requests: POST a picture, get JSON or GLB."""

    weights: str = "mobile"
    """Bundled weights by name (mobile), or a weights file."""
    model: str = "open"
    """Face model: open, or a model file; or a per-face network, as for `reconstruct`."""
    host: str = "127.0.0.1"
    """Address to listen on; the default is reachable from this machine only."""
    port: int = 8000
    """Port to listen on."""
    max_body_bytes: int = 20_000_000
    """Larger uploads are refused with status 413."""
    max_queue: int = 32
    """Requests that may wait; more are refused with status 503."""
    timeout_s: float = 30.0
    """A request that waits longer for its result is answered with status 504."""
    batch_wait_s: float = 0.005
    """How long a request waits for others to share its forward pass."""
    reconstruct: Annotated[ReconstructConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: ReconstructConfig(max_pixels=50_000_000)
    )

    def __post_init__(self) -> None:
        for name in ("max_body_bytes", "max_queue"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.timeout_s > 0.0 or self.batch_wait_s < 0.0:
            raise ValueError(f"timeout_s must be positive, got {self.timeout_s}; batch_wait_s at least 0")
