"""Options of `reconstruct view`; no heavy import here, so that `reconstruct --help` is quick."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from morphable_reconstruct.reconstructor.config import ReconstructConfig


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """Open a local page on which photographs are looked at in 3D."""

    photo: tyro.conf.Positional[Path | None] = None
    """A photograph to start with."""
    weights: str = "mobile"
    """Bundled weights by name (mobile), or a weights file."""
    model: str = "open"
    """Face model: open, or a model file."""
    per_face: str | None = None
    """Network that reconstructs each face from a crop of its own, after the single-shot network's boxes:
    mobile_frnet, or a weights file of Mobile-FRNet, PRNet or DF-MVR."""
    weights_dir: Path | None = None
    """Folder whose NAME.safetensors are found by name, before the bundled weights."""
    host: str = "127.0.0.1"
    """Address to listen on; the default is reachable from this machine only."""
    port: int = 8080
    """Port to listen on."""
    reconstruct: Annotated[ReconstructConfig, tyro.conf.arg(name="")] = field(default_factory=ReconstructConfig)
