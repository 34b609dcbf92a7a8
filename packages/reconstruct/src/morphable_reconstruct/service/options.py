"""Options of `reconstruct serve`; no heavy import here, so that `reconstruct --help` is quick."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from morphable_reconstruct.reconstructor.config import ReconstructConfig


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Answer HTTP requests: POST a picture, get JSON, GLB, NPZ, an overlay or a crop."""

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
    port: int = 8000
    """Port to listen on."""
    max_body_bytes: int = 20_000_000
    """Larger uploads are refused with status 413."""
    max_queue: int = 32
    """Requests that may be under way at once, from the first byte of their body to their answer; more are refused with
    status 503. Memory is bounded by this and the two other limits."""
    timeout_s: float = 30.0
    """A request that waits longer for its result is answered with status 504."""
    batch_wait_s: float = 0.005
    """How long a request waits for others to share its forward pass."""
    cors: tuple[str, ...] = ()
    """Web origins whose pages may call the service (`https://example.org`, or `*` for all); by default none."""
    reconstruct: Annotated[ReconstructConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: ReconstructConfig(max_pixels=50_000_000, batch_size=2)
    )

    def __post_init__(self) -> None:
        for name in ("max_body_bytes", "max_queue"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.timeout_s > 0.0 or self.batch_wait_s < 0.0:
            raise ValueError(f"timeout_s must be positive, got {self.timeout_s}; batch_wait_s at least 0")
