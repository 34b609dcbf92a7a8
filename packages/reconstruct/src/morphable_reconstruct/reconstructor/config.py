"""Options of a reconstruction; no heavy import here, so that the command's help is quick."""

from dataclasses import dataclass
from typing import Literal

EngineName = Literal["auto", "onnxruntime", "openvino", "torch"]
Precision = Literal["float32", "bfloat16"]
ColorChoice = Literal["photograph", "network"]
FocalChoice = float | Literal["network", "exif"]
SIZE_STEP_PX = 32


@dataclass(frozen=True, kw_only=True)
class ReconstructConfig:
    """How faces are found and placed.

    >>> ReconstructConfig(size_px=640, min_score=0.7).min_score
    0.7
    >>> ReconstructConfig(size_px=500)
    Traceback (most recent call last):
    ValueError: size_px must be a multiple of 32, got 500; try 512
    """

    size_px: int | None = None
    """Long side of the network's input, a multiple of 32; by default what the weights were made with, or the picture's
    own where that is smaller (but 256). Larger finds smaller faces and takes longer."""
    min_score: float | None = None
    """Faces below this probability are dropped; by default what the weights were made with."""
    max_faces: int = 128
    """At most this many faces per picture (per tile, with tiles)."""
    focal: FocalChoice = "network"
    """Focal length of the photograph: pixels, or `exif` to read it from the file (an error where it is
    absent), or `network`, the field of view the network assumes for every picture."""
    colors: ColorChoice = "photograph"
    """Where albedo and light come from: fitted to the photograph's colors, or as the network guesses them."""
    fit_points: bool = True
    """Move each face so that its landmarks lie where the face head located them, as far as it was sure of it."""
    face_head: bool = True
    """Let the weights' face head look at the pixels of each found face; without it the network is a single shot."""
    tile_px: int | None = None
    """Also look at overlapping tiles of this many photograph pixels, for tiny faces in very large pictures."""
    engine: EngineName = "auto"
    """What runs the network; `auto` takes PyTorch for a GPU or for bfloat16, else ONNX Runtime where it has a graph."""
    precision: Precision = "float32"
    """Arithmetic of the network: bfloat16 (torch, openvino) is faster where the processor has it, and moves
    landmarks a little (docs/reconstruct.md); decoding stays in float32."""
    device: str = "auto"
    """Where it runs: `cpu`, `cuda`, `cuda:1`; `auto` takes a CUDA GPU if PyTorch sees one."""
    batch_size: int | None = None
    """Pictures (or tiles) that are reconstructed together; by default 8 on a GPU and 1 on a processor, which gains
    nothing from more."""
    max_pixels: int = 178_956_970
    """Larger pictures are refused before they are decoded."""

    def __post_init__(self) -> None:
        for name in ("size_px", "tile_px"):
            value = getattr(self, name)
            if value is not None and value < SIZE_STEP_PX:
                raise ValueError(f"{name} must be at least {SIZE_STEP_PX}, got {value}")
        if self.size_px is not None and self.size_px % SIZE_STEP_PX:
            raise ValueError(f"size_px must be a multiple of {SIZE_STEP_PX}, got {self.size_px}; try 512")
        if self.min_score is not None and not 0.0 <= self.min_score < 1.0:
            raise ValueError(f"min_score must be in [0, 1), got {self.min_score}")
        for name in ("max_faces", "batch_size", "max_pixels"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if isinstance(self.focal, int | float) and not 0.0 < self.focal < float("inf"):
            raise ValueError(f"focal must be a positive number of pixels, exif or network, got {self.focal}")
