"""Write scenes to WebDataset shards, resumable; and read them back."""

import io
import json
import os
import sys
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.progress import Progress

from morphable.decoding import open_picture
from morphable.files import atomic_path, refusing, write_text
from morphable_synth.assets.checks import require_whole_assets
from morphable_synth.datasets.provenance import Source, code_version, license_of, sources_of
from morphable_synth.rendering.labels import FACE_LABELS, Sample
from morphable_synth.rendering.renderer import render_scene
from morphable_synth.scene.description import SceneConfig
from morphable_synth.scene.sampling import sample_scene

FORMAT_VERSION = 1
DESCRIPTION_FILE = "dataset.json"
"""Beside the shards: name, license, sources with their licenses, and settings of the data set."""
_JPEG_QUALITY = 95
_OTHER_RUN = (
    "out must be empty or hold shards of the same settings, got {path} with other {names}; choose another folder"
)


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """A run of `generate`.

    >>> GenerateConfig(scenes=SceneConfig(), out=Path("scenes"), count=500).shard_size
    250
    """

    scenes: SceneConfig
    """What kind of pictures."""
    out: Path
    """Folder of the shards; a run that was stopped continues there."""
    seed: int = 0
    """Number of the series."""
    count: int = 1000
    """Number of scenes; a folder that holds fewer is continued, more are kept."""
    shard_size: int = 250
    """Scenes per shard."""
    workers: int = 2
    """Processes."""
    depth: bool = False
    """Also write `KEY.depth.png`, 16 bits: depth in millimeters, 0 on the background."""

    def __post_init__(self) -> None:
        for name in ("count", "shard_size", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


def generate(config: GenerateConfig, *, quiet: bool = False) -> list[Path]:
    """Write all shards that are not there yet and return the paths of all.

    A shard appears under its name only when it is complete, so that a killed run leaves no torn shard, and the next
    run makes only what is missing. Scene k is the same whatever the number of workers.

    Raises:
        FileNotFoundError: There is no folder of assets.
        ValueError: An asset is missing or broken, or the folder holds shards of other settings.

    >>> scenes = SceneConfig(layout="single", size_px=128)
    >>> paths = generate(GenerateConfig(scenes=scenes, out=folder / "scenes", count=1, workers=1), quiet=True)
    >>> [path.name for path in paths]
    ['synth-0000-000000.tar']
    """
    if config.scenes.assets is not None:  # before hours are spent
        require_whole_assets(config.scenes.assets, cc0_only=config.scenes.cc0_only)
    config.out.mkdir(parents=True, exist_ok=True)
    config = _claim(config)
    starts = range(0, config.count, config.shard_size)
    paths = [_shard_path(config, k) for k in range(len(starts))]
    jobs = [(config, start, path) for start, path in zip(starts, paths, strict=True) if not path.exists()]
    with Progress(disable=quiet) as progress:
        bar = progress.add_task("shards", total=len(paths), completed=len(paths) - len(jobs))
        for _ in _finished(jobs, config.workers):
            progress.advance(bar)
    return paths


def _finished(jobs: list[tuple[GenerateConfig, int, Path]], workers: int) -> Iterator[None]:
    """Write shards, and yield at each that is done; after an error no further one is begun."""
    if workers == 1:
        for job in jobs:
            _write_shard(*job)
            yield
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _end_with_parent) as pool:
        try:
            for done in as_completed([pool.submit(_write_shard, *job) for job in jobs]):
                done.result()
                yield
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _shard_path(config: GenerateConfig, number: int) -> Path:
    return config.out / f"synth-{config.seed:04d}-{number:06d}.tar"


def _end_with_parent() -> None:
    """End this worker when the program that started it was killed; otherwise it would render its queue to the end."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _claim(config: GenerateConfig) -> GenerateConfig:
    """Record the settings, or compare them with those of the shards already there; describe the data set.

    Several versions of the code in one folder are recorded and reported, not refused. The run that is returned has the
    larger of both counts.
    """
    settings = json.loads(json.dumps(asdict(config), default=str))
    for name in ("out", "workers"):
        settings.pop(name)
    settings["scenes"].pop("assets")
    path, current = config.out / "run.json", code_version()
    old, before = settings, config.count
    versions: list[str] = []
    if path.exists():
        with refusing("run.json must be of `morphable-synth generate`", path):
            known = json.loads(path.read_text())
            old = {"depth": False, **known["settings"]}
            before, versions = int(old["count"]), [str(one) for one in known.get("versions", ["not recorded"])]
            if known["format_version"] != FORMAT_VERSION:
                raise ValueError(_OTHER_RUN.format(path=path, names="format_version"))
    names = [name for name in settings if name != "count" and settings[name] != old.get(name)]
    if names:
        raise ValueError(_OTHER_RUN.format(path=path, names=", ".join(names)))
    config = replace(config, count=max(config.count, before))
    settings["count"] = config.count
    if config.count > before and before % config.shard_size:  # its last shard was not full
        _shard_path(config, before // config.shard_size).unlink(missing_ok=True)
    if versions and versions[-1] != current:
        sys.stderr.write(f"{config.out}: shards of {', '.join(versions)} are continued by {current}\n")
    versions += [current] if current not in versions else []
    _write_json(path, {"format_version": FORMAT_VERSION, "settings": settings, "versions": versions})
    _describe(config, settings)
    return config


def _describe(config: GenerateConfig, settings: dict[str, Any]) -> None:
    """Write `dataset.json`: what the pictures are made of, for whoever trains on them."""
    path = config.out / DESCRIPTION_FILE
    before: tuple[Source, ...] = ()
    if path.exists():
        with refusing("description of shards must list its sources", path):
            listed = json.loads(path.read_text())["sources"]
            before = tuple(Source(str(entry["name"]), str(entry["license"])) for entry in listed)
    sources = tuple(dict.fromkeys((*before, *sources_of(config.scenes))))
    description = {
        "format_version": FORMAT_VERSION,
        "name": f"morphable-synth, {config.scenes.level}, {config.scenes.layout}, series {config.seed}",
        "license": license_of(sources),
        "sources": [asdict(source) for source in sources],
        "settings": settings,
    }
    _write_json(path, description)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=1) + "\n")


def _write_shard(config: GenerateConfig, start: int, path: Path) -> None:
    import torch

    torch.set_num_threads(1)
    with atomic_path(path) as temporary, tarfile.open(temporary, "w") as tar:
        for index in range(start, min(start + config.shard_size, config.count)):
            sample = render_scene(sample_scene(config.seed, index, config.scenes))
            for ending, content in files_of(sample, depth=config.depth).items():
                entry = tarfile.TarInfo(f"{config.seed:04d}_{index:08d}.{ending}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


def files_of(sample: Sample, *, depth: bool = False) -> dict[str, bytes]:
    """Return a sample's files by ending.

    ``jpg``, ``npz`` (face labels), if wanted ``depth.png`` (millimeters), and last ``mask.png`` (part, face + 1,
    255 x skin).
    """
    picture, mask, labels = io.BytesIO(), io.BytesIO(), io.BytesIO()
    Image.fromarray(sample.image).save(picture, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    planes = np.stack(
        [sample.part, (sample.face_index + 1).astype(np.uint8), sample.skin_mask.astype(np.uint8) * 255], -1
    )
    Image.fromarray(planes).save(mask, "PNG")
    arrays = {name: getattr(sample, name) for name in FACE_LABELS}
    np.savez(labels, focal_px=np.float32(sample.focal_px), format_version=np.int64(FORMAT_VERSION), **arrays)
    files = {"jpg": picture.getvalue(), "npz": labels.getvalue()}
    if depth:
        stored = io.BytesIO()
        Image.fromarray((sample.depth_m * 1000 + 0.5).clip(0, 65535).astype(np.uint16)).save(stored, "PNG")
        files["depth.png"] = stored.getvalue()
    return files | {"mask.png": mask.getvalue()}


@dataclass(frozen=True)
class StoredSample:
    """A scene read from a shard."""

    key: str
    image: np.ndarray
    """uint8, rows x cols x 3."""
    labels: dict[str, np.ndarray]
    """The arrays of `FACE_LABELS`, and ``focal_px``."""
    part: np.ndarray
    face_index: np.ndarray
    skin_mask: np.ndarray
    depth_m: np.ndarray | None = None
    """To the millimeter; where the shard was written with `depth`."""


def read_shard(path: Path) -> Iterator[StoredSample]:
    """Yield the scenes of a shard in order.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The shard is damaged, or was written in another format version.

    >>> [sample.image.shape for path in sorted(shards.glob("*.tar")) for sample in read_shard(path)]
    [(128, 128, 3), (128, 128, 3)]
    """
    with refusing("shard must be a whole tar file of `morphable-synth generate`", path):
        yield from _scenes(path)


def _scenes(path: Path) -> Iterator[StoredSample]:
    """Decode the scenes of a shard in order."""
    with tarfile.open(path, "r:") as tar:
        files: dict[str, bytes] = {}
        for entry in tar:
            key, _, ending = entry.name.partition(".")
            stream = tar.extractfile(entry)
            files[ending] = stream.read() if stream is not None else b""
            if ending == "mask.png":  # the last of a scene's files
                yield _stored(key, files, path)
                files = {}


def _stored(key: str, files: dict[str, bytes], path: Path) -> StoredSample:
    with np.load(io.BytesIO(files["npz"]), allow_pickle=False) as stored:
        labels = {name: stored[name] for name in stored.files}
    version = int(labels.pop("format_version"))
    if version != FORMAT_VERSION:
        raise ValueError(f"{path} must have format version {FORMAT_VERSION}, got {version}; generate it again")
    planes = np.asarray(open_picture(io.BytesIO(files["mask.png"])))
    image = np.asarray(open_picture(io.BytesIO(files["jpg"])).convert("RGB"))
    depth_m = None
    if "depth.png" in files:
        depth_m = np.asarray(open_picture(io.BytesIO(files["depth.png"]))).astype(np.float32) / 1000
    return StoredSample(
        key, image, labels, planes[..., 0], planes[..., 1].astype(np.int32) - 1, planes[..., 2] > 0, depth_m
    )
