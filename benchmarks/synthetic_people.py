"""Measure weights on synthetic people they were not trained on: errors by skin tone, and how groups are placed.

`python benchmarks/synthetic_people.py --assets ../shared/data` draws groups with the project's camera, so that
distances are known, reconstructs them, and prints two Markdown tables. A face's tone is the luminance of the skin
color it was drawn with, not of its pixels: a light face in the shade counts as light.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float

from morphable_evalkit import (
    GroundTruth,
    Predictions,
    Scores,
    read_predictions,
    score_alignment,
    summarize_placement,
)
from morphable_evalkit.measures.summaries import bootstrap_interval, mean_or_nan
from morphable_evalkit.reports.tables import Table, percent, to_markdown
from morphable_reconstruct import Reconstructor, prediction_rows, write_predictions
from morphable_synth import SceneConfig, render_scene, sample_scene
from morphable_synth.rendering.labels import Sample
from morphable_synth.scene.description import Scene

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Shares of linear red, green and blue in the luminance (ITU-R BT.709)."""


@dataclass(frozen=True, kw_only=True)
class PeopleConfig:
    """Reconstruct synthetic groups and score what is found."""

    assets: Path | None = None
    """Folder with MakeHuman's assets; without it people are procedural."""
    weights: str = "mobile"
    """mobile, or a weights file."""
    scenes: int = 300
    """Pictures drawn."""
    seed: int = 90_001
    """Series; not one that was trained on."""
    bins: int = 5
    """Groups of equally many faces, from dark to light skin."""


def draw(config: PeopleConfig) -> list[tuple[str, Scene, Sample]]:
    """Render the scenes."""
    scenes = SceneConfig(level="makehuman" if config.assets else "procedural", assets=config.assets, max_faces=6)
    drawn = [sample_scene(config.seed, index, scenes) for index in range(config.scenes)]
    return [(f"{scene.index:05d}", scene, render_scene(scene)) for scene in drawn]


def truth_of(pictures: list[tuple[str, Scene, Sample]]) -> GroundTruth:
    """The labeled faces as a data set of evalkit."""
    samples = [sample for _, _, sample in pictures]
    return GroundTruth(
        name="synthetic groups",
        images=tuple(name for name, _, _ in pictures),
        image=tuple(name for name, _, sample in pictures for _ in sample.identity),
        points_px=np.concatenate([sample.landmarks68_px for sample in samples]).astype(np.float64),
        translation_m=np.concatenate([sample.translation_m for sample in samples]),
        size_hw={name: (sample.image.shape[0], sample.image.shape[1]) for name, _, sample in pictures},
    )


def tones_of(pictures: list[tuple[str, Scene, Sample]]) -> Float[np.ndarray, " faces"]:
    """Luminance of the skin color of each labeled face, which is found again by its place."""
    tones = []
    for _, scene, sample in pictures:
        places = np.array([person.translation_m for person in scene.people]).reshape(-1, 3)
        for place in sample.translation_m:
            person = scene.people[int(np.linalg.norm(places - place, axis=1).argmin())]
            tones.append(float(LUMINANCE @ np.array(person.skin.tone)))
    return np.array(tones)


def reconstructed(pictures: list[tuple[str, Scene, Sample]], weights: str) -> Predictions:
    """What the network finds."""
    reconstruct = Reconstructor(weights)
    rows = ((name, prediction_rows(reconstruct(sample.image))) for name, _, sample in pictures)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.npz"
        write_predictions(path, rows, system=weights)
        return read_predictions(path)


def tone_table(scores: Scores, tones: Float[np.ndarray, " faces"], bins: int) -> Table:
    """Error and recall by skin tone."""
    rows = []
    for part in np.array_split(np.argsort(tones), bins):
        error = scores.error[part]
        error = error[np.isfinite(error)]
        low, high = bootstrap_interval(error, mean_or_nan, seed=0)
        rows.append(
            (
                f"{tones[part].min():.3f}-{tones[part].max():.3f}",
                str(len(part)),
                f"{scores.found[part].mean():.2f}",
                percent(mean_or_nan(error)),
                f"{percent(low)}-{percent(high)}",
            )
        )
    return Table("By skin tone", ("luminance", "faces", "recall", "NME %", "95 % interval"), tuple(rows))


def main() -> None:
    """Draw, reconstruct, print."""
    config = tyro.cli(PeopleConfig)
    pictures = draw(config)
    truth, predictions = truth_of(pictures), reconstructed(pictures, config.weights)
    scores = score_alignment(predictions, truth, one_to_one=True)
    print(to_markdown(tone_table(scores, tones_of(pictures), config.bins)))
    placement = summarize_placement(scores, predictions, truth)
    values = (
        str(placement.num_faces),
        str(placement.num_pairs),
        percent(placement.depth_order_share),
        percent(placement.position_error_relative),
        percent(placement.distance_error_relative),
        f"{scores.num_unmatched / scores.num_images:.2f}",
    )
    columns = ("faces found", "pairs", "right order %", "position error %", "error of the gap %", "unmatched/picture")
    print(to_markdown(Table("Placement", columns, (values,))))


if __name__ == "__main__":
    main()
