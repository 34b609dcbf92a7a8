"""Measure time against the number of faces: one pass for all, or detection and one pass per face.

    python benchmarks/faces.py [--systems mobile_frnet prnet dfmvr] [--weights FILE] [--plot faces.png]

The picture is noise and exactly as many faces are taken as asked for, the best cells of the center map: time does not
depend on what they show, and all systems reconstruct the same ones. Per-face networks have their papers' sizes and
random weights, or with `--sizes bundled` those of the bundled weights. A measurement is one call with a photograph in
memory: resizing, networks, decoding, faces in one camera; no meshes, no files. Systems alternate, so that another
program on the machine disturbs all alike. The times go to a timing file that `evalkit latency` reads, and its table is
printed.
"""

import json
import platform
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro

from morphable_evalkit.commands.latency import LatencyConfig, run_latency
from morphable_evalkit.reports.output import OutputConfig
from morphable_reconstruct import ReconstructConfig, Reconstructor, load_photograph
from morphable_reconstruct.reconstructor.per_face.weights import PerFaceNetwork, load_per_face
from morphable_regressors import CropRule, SystemSpec, build_system
from morphable_regressors.systems import MultiViewConfig, ParameterConfig, ParameterRegressor, PositionMapConfig

SPECS = {
    "mobile_frnet": SystemSpec(crop=CropRule(side_px=120), config=ParameterConfig()),
    "prnet": SystemSpec(crop=CropRule(side_px=256, face_share=1 / 1.6), config=PositionMapConfig()),
    "dfmvr": SystemSpec(crop=CropRule(side_px=224, face_share=0.6), config=MultiViewConfig()),
}
SINGLE_SHOT = "single-shot"


@dataclass(frozen=True, kw_only=True)
class FacesConfig:
    """Time against the number of faces."""

    faces: tuple[int, ...] = (1, 2, 5, 10, 20, 50)
    """Numbers of faces."""
    systems: tuple[str, ...] = ("mobile_frnet", "prnet")
    """Per-face networks to compare with: mobile_frnet, prnet, dfmvr."""
    sizes: Literal["bundled", "paper"] = "paper"
    """Untrained networks of the papers' sizes, or the bundled ones."""
    weights: str = "mobile"
    """Weights of the single-shot network, which is timed without its face head: that scores noise as no face."""
    size_px: int = 512
    """Long side of its input; the photograph has twice that."""
    repeats: int = 10
    """Timed calls of each system with each number."""
    num_threads: int = 2
    """Threads."""
    out: Path = Path("out/faces.json")
    """Timing file."""
    plot: tuple[Path, ...] = ()
    """Pictures of the curves."""

    def __post_init__(self) -> None:
        for name in self.systems:
            if name not in SPECS:
                raise ValueError(f"systems must be of {', '.join(SPECS)}, got {name!r}")


def make_network(name: str) -> PerFaceNetwork:
    """Return an untrained network of the paper's size that answers with plausible poses."""
    torch.manual_seed(0)
    spec = SPECS[name]
    system = build_system(spec)
    if isinstance(system, ParameterRegressor):
        middle, scale = spec.crop.side_px / 2, spec.crop.face_px / 0.145
        system.codec.mean[:12] = torch.tensor([scale, 0, 0, middle, 0, -scale, 0, middle, 0, 0, -scale, 0])
    return PerFaceNetwork(kind=name, system=system.eval(), crop=spec.crop)


def make_systems(config: FacesConfig, faces: int, base: Reconstructor) -> dict[str, Reconstructor]:
    """Return every system, set to find exactly so many faces, around one detector."""
    options = ReconstructConfig(max_faces=faces, min_score=0.0, size_px=config.size_px, device="cpu")
    systems = {SINGLE_SHOT: Reconstructor(base.detector, base.model, config=options)}
    for name in config.systems:
        network = load_per_face(name, base.model) if config.sizes == "bundled" else make_network(name)
        systems[f"detect + n x {name}"] = Reconstructor(base.detector, base.model, per_face=network, config=options)
    return systems


def measure(config: FacesConfig) -> dict[str, dict[str, list[float]]]:
    """Return milliseconds by system and number of faces."""
    side = 2 * config.size_px
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    photo = load_photograph(pixels)
    base = Reconstructor(config.weights, config=ReconstructConfig(device="cpu", face_head=False))
    times: dict[str, dict[str, list[float]]] = {}
    for faces in config.faces:
        systems = make_systems(config, faces, base)
        for repeat in range(config.repeats + 1):
            for name, system in systems.items():
                start = time.perf_counter()
                (scene,) = system.reconstruct([photo])
                elapsed = (time.perf_counter() - start) * 1000
                if len(scene) != faces:
                    raise RuntimeError(f"{name} must give {faces} faces, got {len(scene)}")
                if repeat:  # the first call fills caches
                    times.setdefault(name, {}).setdefault(str(faces), []).append(elapsed)
        medians = ", ".join(f"{name} {statistics.median(by[str(faces)]):.1f} ms" for name, by in times.items())
        sys.stderr.write(f"{faces} faces: {medians}\n")
    return times


def main() -> int:
    """Measure, write the timing file, print the table."""
    config = tyro.cli(FacesConfig, description=__doc__)
    torch.set_num_threads(config.num_threads)
    device = f"{platform.machine()}, {config.num_threads} threads"
    notes = f"{config.size_px} px input, per-face networks: {config.sizes}"
    timings = [
        {"system": name, "device": device, "notes": notes, "samples_ms": samples}
        for name, samples in measure(config).items()
    ]
    config.out.parent.mkdir(parents=True, exist_ok=True)
    config.out.write_text(json.dumps({"format": "evalkit-timing", "version": 1, "timings": timings}, indent=1) + "\n")
    run_latency(LatencyConfig(timings=(config.out,), output=OutputConfig(plot=config.plot)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
