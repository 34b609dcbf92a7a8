"""Train a small network for a few steps on rendered faces, resume it, and package its weights."""

import tempfile
from dataclasses import replace
from pathlib import Path

from morphable_synth import SceneConfig, render_scene, sample_scene
from morphable_train import ShardWriter, package, preset, train
from morphable_train.data.shards import DatasetInfo, write_info
from morphable_train.data.synthetic import record_from_sample
from morphable_train.packaging.stages import PackageOptions

folder = Path(tempfile.mkdtemp())
scenes = SceneConfig(layout="single", size_px=128, max_face_px=64.0)
with ShardWriter(folder / "shards") as shards:
    for index in range(4):
        shards.write(record_from_sample(render_scene(sample_scene(0, index, scenes)), f"face{index}"))
write_info(folder / "shards", DatasetInfo(name="rendered", license="CC0-1.0", records=4, faces=4, model="open"))

config = preset("smoke", 1, exact=(folder / "shards",))
config = replace(config, run=replace(config.run, steps=2, batch_size=2), data=replace(config.data, min_face_px=16.0))
train(config, folder / "run")
config = replace(config, run=replace(config.run, steps=3))
train(config, folder / "run", resume=True)
card = package(folder / "run", folder / "weights.safetensors", PackageOptions(name="tiny"))
print(sorted(path.name for path in (folder / "run").iterdir()))
print(card.read_text().splitlines()[0], f"{(folder / 'weights.safetensors').stat().st_size / 1e6:.1f} MB")
