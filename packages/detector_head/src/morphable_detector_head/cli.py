"""Command line: look into a weights file, export it, quantize the export."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from morphable import check_model, load_model, read_weights_info
from morphable.commands import run_command

from .detector import SIZE_MULTIPLE_PX
from .export import EXPORT_TOP_K, export_onnx, export_openvino
from .quantize import calibration_images, quantize_onnx, quantize_openvino
from .weights import find_weights, load_detector

PROGRAM = "morphable-detector"
ONNX_SUFFIX, OPENVINO_SUFFIX = ".onnx", ".xml"


@dataclass(frozen=True, kw_only=True)
class Info:
    """Print the description in a weights file as JSON."""

    weights: Annotated[str, tyro.conf.Positional]
    """Weights file (docs/weights_file.md), or bundled weights by name (mobile)."""

    def run(self) -> None:
        """Print."""
        sys.stdout.write(json.dumps(asdict(read_weights_info(find_weights(self.weights))), indent=2) + "\n")


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a detector with its decoding as ONNX or OpenVINO."""

    weights: Annotated[str, tyro.conf.Positional]
    """Weights file (docs/weights_file.md), or bundled weights by name (mobile)."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",))]
    """An .onnx file, or an .xml file for OpenVINO."""
    top_k: int = EXPORT_TOP_K
    """At most so many faces per picture in the output."""
    min_score: float | None = None
    """Probability that a face must exceed; by default the weights' own threshold."""
    model: str | None = None
    """Face model that becomes a part of the graph: open, or a model file. The graph then also gives 68 points and
    vertices of every face."""

    def run(self) -> None:
        """Export."""
        _check_suffix(self.output)
        weights = find_weights(self.weights)
        info = read_weights_info(weights)
        min_score = info.inference.min_score if self.min_score is None else self.min_score
        model = None if self.model is None else load_model(self.model)
        if model is not None:
            check_model(info, model)
        onnx = self.output.with_suffix(ONNX_SUFFIX)
        export_onnx(load_detector(weights), onnx, limits=(self.top_k, min_score), model=model)
        if self.output.suffix == OPENVINO_SUFFIX:
            export_openvino(onnx, self.output)


@dataclass(frozen=True, kw_only=True)
class Quantize:
    """Quantize an exported ONNX file to int8, calibrated on photographs."""

    onnx: Annotated[Path, tyro.conf.Positional]
    """File written by `export`."""
    photographs: Annotated[Path, tyro.conf.Positional]
    """Folder of photographs with faces as they will come."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",))]
    """An .onnx file for ONNX Runtime, or an .xml file for OpenVINO."""
    size_px: int = 512
    """Side of the square that photographs are scaled into, a multiple of 32."""
    limit: int = 128
    """At most this many photographs."""

    def __post_init__(self) -> None:
        if self.size_px < SIZE_MULTIPLE_PX or self.size_px % SIZE_MULTIPLE_PX:
            raise ValueError(f"size_px must be a positive multiple of {SIZE_MULTIPLE_PX}, got {self.size_px}")

    def run(self) -> None:
        """Quantize."""
        _check_suffix(self.output)
        images = calibration_images(self.photographs, size_px=self.size_px, limit=self.limit)
        quantize = quantize_openvino if self.output.suffix == OPENVINO_SUFFIX else quantize_onnx
        quantize(self.onnx, self.output, images)


def _check_suffix(output: Path) -> None:
    if output.suffix not in (ONNX_SUFFIX, OPENVINO_SUFFIX):
        raise ValueError(f"output must end in {ONNX_SUFFIX} or {OPENVINO_SUFFIX}, got {output.name}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status (`morphable.commands`)."""
    commands: dict[str, Callable[..., Any]] = {"info": Info, "export": Export, "quantize": Quantize}

    def parse(arguments: list[str]) -> Any:
        return tyro.extras.subcommand_cli_from_dict(commands, prog=PROGRAM, description=__doc__, args=arguments)

    return run_command(PROGRAM, "morphable-detector-head", argv, parse=parse, act=lambda command: command.run())
