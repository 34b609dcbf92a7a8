"""Synthetic group photographs of people with exact labels, for training."""

from morphable_synth.assets.checks import AssetReport, check_assets
from morphable_synth.assets.parts import PART_NAMES
from morphable_synth.datasets.dataset import SynthDataset, tensors_of
from morphable_synth.datasets.preview import contact_sheet, draw_labels
from morphable_synth.datasets.shards import GenerateConfig, StoredSample, generate, read_shard
from morphable_synth.rendering.labels import FACE_LABELS, PIXEL_LABELS, Sample
from morphable_synth.rendering.renderer import render_scene
from morphable_synth.scene.description import Person, Scene, SceneConfig
from morphable_synth.scene.sampling import sample_scene

__all__ = [
    "FACE_LABELS",
    "PART_NAMES",
    "PIXEL_LABELS",
    "AssetReport",
    "GenerateConfig",
    "Person",
    "Sample",
    "Scene",
    "SceneConfig",
    "StoredSample",
    "SynthDataset",
    "check_assets",
    "contact_sheet",
    "draw_labels",
    "generate",
    "read_shard",
    "render_scene",
    "sample_scene",
    "tensors_of",
]
__version__ = "0.1.0"
