"""How faces are followed through a video; no heavy import here, so that `reconstruct --help` is quick."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """How faces are followed through a video.

    >>> VideoConfig(smooth=False, every=2).max_gap_s
    0.5
    """

    smooth: bool = True
    """Smooth poses and coefficients over time with the One-Euro filter."""
    min_cutoff_hz: float = 0.5
    """Cut-off frequency of the filter for a face at rest: lower is smoother and later."""
    beta: float = 3.0
    """How much the cut-off rises with speed: higher follows fast motion sooner."""
    max_gap_s: float = 0.5
    """A face that was not seen for longer gets a new track id,"""
    max_gap_frames: int = 1
    """unless it was missed in no more frames than these (time lapses and `every` have long steps)."""
    every: int = 1
    """Use every n-th frame."""
    preview_port: int | None = field(default=None, repr=False)  # not part of what a rerun compares
    """Show the overlay while it is made at http://127.0.0.1:PORT/ (0: any free port); for webcams above all."""

    def __post_init__(self) -> None:
        if not self.min_cutoff_hz > 0.0:
            raise ValueError(f"min_cutoff_hz must be positive, got {self.min_cutoff_hz}")
        if self.beta < 0.0 or self.max_gap_s < 0.0:
            raise ValueError(f"beta and max_gap_s must be at least 0, got {self.beta} and {self.max_gap_s}")
        if self.max_gap_frames < 0:
            raise ValueError(f"max_gap_frames must be at least 0, got {self.max_gap_frames}")
        if self.preview_port is not None and not 0 <= self.preview_port < 65_536:
            raise ValueError(f"preview_port must be in [0, 65535], got {self.preview_port}")
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")
