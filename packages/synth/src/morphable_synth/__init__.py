"""Synthetic group photographs of people with exact labels, for training."""

from morphable_synth.assets.checks import check_assets
from morphable_synth.datasets.dataset import SynthDataset
from morphable_synth.datasets.shards import GenerateConfig, generate, read_shard
from morphable_synth.rendering.renderer import render_scene
from morphable_synth.scene.description import SceneConfig
from morphable_synth.scene.sampling import sample_scene

__version__ = "0.1.0"

__all__ = [
    "GenerateConfig",
    "SceneConfig",
    "SynthDataset",
    "check_assets",
    "generate",
    "read_shard",
    "render_scene",
    "sample_scene",
]
