"""Reconstruct a rendered group and a photograph, or the pictures given, into `out/`.

Run by `nox -s demo`, or `python examples/demo.py [PICTURE ...] [--out out] [--weights mobile]`. Leaves for every
picture the overlay, three views, a GLB and a JSON; `--sheet FILE` puts overlays and views side by side.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from PIL import Image

from morphable_reconstruct import ReconstructConfig, RunConfig, find_sources, run


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Reconstruct every face of a rendered group and of a photograph, or of the pictures given."""

    pictures: tyro.conf.Positional[tuple[str, ...]] = ()
    """Pictures, folders or videos; by default a group that synth renders, and scikit-image's astronaut."""
    out: Path = Path("out")
    """Folder of the results."""
    weights: str = "mobile"
    """Bundled weights by name (mobile), or a weights file."""
    model: str = "open"
    """Face model: open, or a model file."""
    seed: int = 46
    """Of the rendered group."""
    min_score: float = 0.47
    """Stricter than the weights' own threshold, which is set to find every small face of a crowd."""
    sheet: Path | None = None
    """Also put overlays and views side by side into one picture."""


SHEET_PX = 1200
"""Width of the sheet; every row fills it."""


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
    """Join overlay and views of each picture in a row, as high as fills the sheet's width."""
    rows = []
    for stem in stems:
        files = [out / f"{stem}{suffix}" for suffix in (".overlay.jpg", ".views.png")]
        if all(file.is_file() for file in files):  # a broken picture has none, a video no views
            rows.append([Image.open(file).convert("RGB") for file in files])
    heights = [round(SHEET_PX / sum(part.width / part.height for part in row)) for row in rows]
    joined = Image.new("RGB", (SHEET_PX, max(1, sum(heights))), "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        split = round(row[0].width * height / row[0].height)
        joined.paste(row[0].resize((split, height), Image.Resampling.LANCZOS), (0, top))
        joined.paste(row[1].resize((SHEET_PX - split, height), Image.Resampling.LANCZOS), (split, top))
        top += height
    sheet.parent.mkdir(parents=True, exist_ok=True)
    joined.save(sheet, optimize=True)


def main() -> int:
    """Run the demo; its exit status is that of `reconstruct`."""
    config = tyro.cli(DemoConfig)
    pictures = config.pictures or example_pictures(config.out / "pictures", config.seed)
    run_config = RunConfig(
        sources=pictures,
        out=config.out,
        save="overlay,views,glb,json",
        weights=config.weights,
        model=config.model,
        reconstruct=ReconstructConfig(min_score=config.min_score),
    )
    status = run(run_config)
    if config.sheet is not None:
        write_sheet([source.stem for source in find_sources(pictures)], config.out, config.sheet)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
