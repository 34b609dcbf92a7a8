"""Reconstruct a rendered group and a photograph, or the pictures given, into `out/`.

Run by `nox -s demo`, or `python examples/demo.py [PICTURE ...] [--out out] [--weights mobile]`. Leaves for every
picture the overlay, three views, a GLB and a JSON. The picture of the repository's README is its `--sheet`:
`nox -s demo -- --sheet docs/demo.png`.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from PIL import Image

from morphable_reconstruct import RunConfig, find_sources, run


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Reconstruct every face of a rendered group and of a photograph, or of the pictures given."""

    pictures: tyro.conf.Positional[tuple[str, ...]] = ()
    """Pictures, folders or videos; by default a group that synth renders, and scikit-image's astronaut."""
    out: Path = Path("out")
    """Folder of the results."""
    weights: str = "mobile"
    """mobile, mobile-research, or a weights file."""
    model: str = "open"
    """Face model: open, or a model file."""
    seed: int = 7
    """Of the rendered group."""
    sheet: Path | None = None
    """Also put overlays and views side by side into one picture."""


ROW_PX = 300
"""Height of a row of the sheet."""


def example_pictures(folder: Path, seed: int) -> tuple[str, ...]:
    """Write the rendered group and the astronaut (public domain, NASA) as pictures."""
    from skimage.data import astronaut

    from morphable_synth import SceneConfig, render_scene, sample_scene

    folder.mkdir(parents=True, exist_ok=True)
    group, photograph = folder / "group.png", folder / "astronaut.png"
    scene = sample_scene(seed, 0, SceneConfig(max_faces=6, min_face_px=48.0, max_face_px=160.0, occluders=False))
    Image.fromarray(render_scene(scene).image).save(group)
    Image.fromarray(astronaut()).save(photograph)
    return str(group), str(photograph)


def write_sheet(stems: list[str], out: Path, sheet: Path) -> None:
    """Join overlays and views: a row for each picture."""
    rows = []
    for stem in stems:
        parts = [Image.open(out / f"{stem}{suffix}").convert("RGB") for suffix in (".overlay.jpg", ".views.png")]
        parts = [
            part.resize((round(part.width * ROW_PX / part.height), ROW_PX), Image.Resampling.LANCZOS) for part in parts
        ]
        rows.append(parts)
    width = max(sum(part.width for part in row) for row in rows)
    joined = Image.new("RGB", (width, ROW_PX * len(rows)), "white")
    for index, row in enumerate(rows):
        joined.paste(row[0], (0, index * ROW_PX))
        joined.paste(row[1], (row[0].width, index * ROW_PX))
    joined.save(sheet, optimize=True)


def main() -> int:
    """Run the demo; its exit status is that of `reconstruct`."""
    config = tyro.cli(DemoConfig)
    pictures = config.pictures or example_pictures(config.out / "pictures", config.seed)
    run_config = RunConfig(
        sources=pictures, out=config.out, save="overlay,views,glb,json", weights=config.weights, model=config.model
    )
    status = run(run_config)
    if config.sheet is not None:
        write_sheet([source.stem for source in find_sources(pictures)], config.out, config.sheet)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
