"""What is left when writers are killed, when the disk is full, when folders are read-only, and when two run at once.

`python benchmarks/interruptions.py [WRITER ...] [--kills 5]` runs small pictures, a video, Ray, `prepare`, `generate`,
training and `package`, each in a process of its own: to the end; killed by SIGKILL at random moments and run again; on
a file system too small for the results, then enlarged; into a read-only folder; twice at once into one folder. A file
that is there must be whole, and the end must be the same files. Status 1 if one is not. File systems are made with
`mount`, as root; without, those rows are left out.
"""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import Value
from pathlib import Path
from typing import Annotated

import tyro

ROOT = Path(__file__).parents[1]
for package in ("reconstruct", "train"):
    sys.path.insert(0, str(ROOT / "packages" / package / "tests"))

WORK = Value("i", 0)
"""Pictures, frames, records or steps that were computed; shared with the processes that compute them."""
REFUSED, BROKEN = 1, 3
"""Exit statuses: an error that says what is wrong, and any other."""
_SHARES = (0.2, 0.5, 0.8)
"""Sizes of the small file systems, as shares of what the results take."""
_ATTEMPTS = 4
"""Runs begun for each kill, of which some end before their kill."""
_ROOMY_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Something that fills a folder."""

    run: Callable[[Path], int]
    """Fills the folder, or goes on to; returns an exit status."""
    digests: Callable[[Path], dict[str, str]] = field(default=lambda out: whole_files(out))
    """What must be the same after every run that ended, by name; raises ValueError for a damaged file."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which writers, how often."""

    writers: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names; by default all."""
    kills: int = 5
    """Kills of each writer, one after the other, before it is run to its end."""
    seed: int = 0


def main() -> int:
    """Print a row for each writer; 1 if one of them lost or tore something."""
    config = tyro.cli(Config, description=__doc__)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        writers = make_writers(Path(folder))
        for name in config.writers or tuple(writers):
            lines, good = examine(writers[name], Path(folder) / f"runs-{name}", config)
            failed |= not good
            for line in lines:
                print(f"{name}: {line}", flush=True)
    return 1 if failed else 0


def examine(writer: Writer, folder: Path, config: Config) -> tuple[list[str], bool]:
    """Interrupt one writer in every way."""
    folder.mkdir()
    start = time.monotonic()
    status = in_process(writer, folder / "whole")
    seconds, whole = time.monotonic() - start, writer.digests(folder / "whole")
    lines = [f"{len(whole)} files, {seconds:.1f} s, status {status}"]
    checks = [status == 0, bool(whole)]
    for way in (killed, twice, *((full, read_only) if os.geteuid() == 0 else ())):
        line, good = way(writer, folder, whole, seconds, config)
        lines.append(line if good else f"FAILED {line}")
        checks.append(good)
    return lines, all(checks)


def killed(writer: Writer, folder: Path, whole: dict[str, str], seconds: float, config: Config) -> tuple[str, bool]:
    """Kill the writer at random moments, look at what is there each time, and run it to the end."""
    moments, out, torn, kills = random.Random(config.seed), folder / "killed", 0, 0
    for _ in range(_ATTEMPTS * config.kills):
        start = time.monotonic()
        if in_process(writer, out, kill_after_s=moments.uniform(0, seconds)) == -signal.SIGKILL:
            kills += 1
            torn += not part_of(writer, out, whole)
        else:  # it came to its end first; begin anew
            seconds = min(seconds, time.monotonic() - start)
            shutil.rmtree(out)
        if kills == config.kills:
            break
    status = in_process(writer, out)
    same = writer.digests(out) == whole
    line = f"killed {kills} times: {torn} times with a torn file; run again: status {status}, "
    good = kills == config.kills and torn == 0 and status == 0 and same
    return line + ("the same files" if same else "other files"), good


def twice(writer: Writer, folder: Path, whole: dict[str, str], seconds: float, config: Config) -> tuple[str, bool]:
    """Run the writer twice at once into one folder, then once more."""
    out = folder / "twice"
    processes = [start_process(writer, out) for _ in range(2)]
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in processes]
    torn, last = not part_of(writer, out, whole), in_process(writer, out)
    same = writer.digests(out) == whole
    good = not torn and last == 0 and same and all(status in (0, REFUSED) for status in statuses)
    return f"two at once: statuses {statuses}, then {last}, {'the same files' if same else 'other files'}", good


def full(writer: Writer, folder: Path, whole: dict[str, str], seconds: float, config: Config) -> tuple[str, bool]:
    """Run the writer on small file systems, then enlarge them."""
    place, told, good = folder / "full", [], True
    size = sum(path.stat().st_size for path in (folder / "whole").rglob("*") if path.is_file())
    for share in _SHARES:
        with mounted(place, f"size={max(4096, int(share * size))}"):
            first, torn = in_process(writer, place / "out"), not part_of(writer, place / "out", whole)
            left = [path.name for path in place.rglob(".mrph-*")]
            subprocess.run(["mount", "-o", f"remount,size={_ROOMY_BYTES}", str(place)], check=True)
            again = in_process(writer, place / "out")
            same = writer.digests(place / "out") == whole
        told.append(f"{share:.0%}: status {first}, then {again}")
        good &= first in (0, REFUSED) and not torn and not left and again == 0 and same
    return f"full disk at {', '.join(told)}", good


def read_only(writer: Writer, folder: Path, whole: dict[str, str], seconds: float, config: Config) -> tuple[str, bool]:
    """Run the writer into a folder that can't be written."""
    with mounted(folder / "read_only", "ro"):
        WORK.value = 0
        status = in_process(writer, folder / "read_only")
    return f"read-only folder: status {status} after {WORK.value} computed", status == REFUSED and WORK.value == 0


@contextlib.contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    """Make a file system in memory."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


def start_process(writer: Writer, out: Path) -> int:
    """Run a writer in a copy of this process, which has the imports already; return its number."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = BROKEN
        try:
            with Path(os.devnull).open("w") as silence, contextlib.redirect_stdout(silence):
                status = writer.run(out)
        except (OSError, ValueError) as error:
            sys.stderr.write(f"refused: {error}\n")
            status = REFUSED
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return pid


def in_process(writer: Writer, out: Path, *, kill_after_s: float | None = None) -> int:
    """Run a writer, kill it if asked for, and return its exit status."""
    pid = start_process(writer, out)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def part_of(writer: Writer, out: Path, whole: dict[str, str]) -> bool:
    """Return whether every file that is there is whole."""
    if not out.is_dir():
        return True
    try:
        found = writer.digests(out)
    except ValueError as error:
        sys.stderr.write(f"torn: {error}\n")
        return False
    torn = [name for name, digest in found.items() if whole.get(name) != digest]
    sys.stderr.write("".join(f"torn: {name}\n" for name in torn))
    return not torn


def whole_files(out: Path, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Digest the files of a folder that are not hidden."""
    paths = [path for path in out.rglob("*") if path.is_file()]
    names = {path.relative_to(out).as_posix(): path for path in paths}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in sorted(names.items())
        if path.name not in without and not any(part.startswith(".") for part in path.relative_to(out).parts)
    }


def make_writers(folder: Path) -> dict[str, Writer]:
    """Prepare the inputs of all writers."""
    return reconstruct_writers(folder / "in") | train_writers(folder / "train")


def reconstruct_writers(folder: Path) -> dict[str, Writer]:
    """Pictures, a video, and pictures on Ray, with a network that finds green dots."""
    from PIL import Image
    from stand_ins import DotDetector, dotted, toy_model
    from videos import add_sound, moving, write_video

    from morphable_reconstruct.batch.options import RunConfig
    from morphable_reconstruct.commands.reconstruct import run
    from morphable_reconstruct.drawing import parsing
    from morphable_reconstruct.reconstructor.config import ReconstructConfig
    from morphable_reconstruct.reconstructor.reconstructor import Reconstructor

    class CountedDots(DotDetector):
        def detect(self, images, **options):
            WORK.value += len(images)
            return super().detect(images, **options)

    parsing._network = lambda: None  # stand-in faces are no faces to it
    photos = folder / "photos"
    photos.mkdir(parents=True)
    for index in range(8):
        picture = dotted((160, 256), [(60 + 40 * i, 80) for i in range(1 + index % 3)], dot_px=16)
        Image.fromarray(picture).save(photos / f"{index}.png")
    clip = add_sound(write_video(folder / "silent.mkv", moving(40)), folder / "clip.mkv", seconds=1.6)
    model = toy_model()
    settings = ReconstructConfig(min_score=0.4, size_px=128, batch_size=4)

    def reconstruct(out: Path, source: Path, save: str) -> int:
        preds = out.parent / "preds.npz" if source == photos else None
        if preds is not None:
            preds = out / "preds.npz"
            out.mkdir(parents=True, exist_ok=True)
        config = RunConfig(sources=(str(source),), out=out, save=save, preds=preds)
        return run(config, Reconstructor(CountedDots(), model, config=settings))

    kinds = "overlay,json,glb,obj,ply,npz,csv,depth,views"
    return {
        "pictures": Writer(run=lambda out: reconstruct(out, photos, kinds)),
        "video": Writer(run=lambda out: reconstruct(out, clip, "overlay,csv,json")),
        "ray": Writer(
            run=lambda out: run_on_ray(out, photos),
            digests=lambda out: {k: v for k, v in whole_files(out).items() if not k.startswith("parquet/")},
        ),
    }


def run_on_ray(out: Path, photos: Path) -> int:
    """Reconstruct pictures on one Ray worker."""
    from stand_ins import toy_model

    from morphable_reconstruct.batch.cluster import run_on_ray as spread
    from morphable_reconstruct.batch.options import RunConfig
    from morphable_reconstruct.batch.output import check_outputs
    from morphable_reconstruct.photographs.sources import find_sources

    assert toy_model is not None
    config = RunConfig(
        sources=(str(photos),),
        out=out,
        save="json,glb",
        texture="none",
        workers=1,
        model=str(ROOT / "packages" / "reconstruct" / "tests"),
    )
    check_outputs(out)
    outcomes = spread(find_sources(config.sources), config, "given", worker=dot_worker())
    return int(any(outcome.error is not None for outcome in outcomes))


def dot_worker() -> type:
    """Make the class of the workers inside a function, so that Ray ships its code."""

    class DotWorker:
        def __init__(self, config, weights_sha256):
            sys.path.insert(0, config.model)
            from stand_ins import DotDetector, toy_model

            from morphable_reconstruct.batch.records import Records
            from morphable_reconstruct.reconstructor.config import ReconstructConfig
            from morphable_reconstruct.reconstructor.reconstructor import Reconstructor

            self.config = config
            settings = ReconstructConfig(min_score=0.4, size_px=128)
            self.reconstructor = Reconstructor(DotDetector(), toy_model(), config=settings)
            self.records = Records(config, weights_sha256)

        def __call__(self, batch):
            from morphable_reconstruct.batch.cluster import ClusterWorker

            return ClusterWorker.__call__(self, batch)

    return DotWorker


def train_writers(folder: Path) -> dict[str, Writer]:
    """`prepare`, `generate`, training and `package`."""
    import numpy as np
    import torch
    from PIL import Image
    from stand_in import stand_in_model
    from tiny_run import tiny_config, write_shards

    import morphable_synth.datasets.shards as generated
    from morphable_synth import GenerateConfig, SceneConfig, generate
    from morphable_train import train
    from morphable_train.packaging.stages import PackageOptions, package
    from morphable_train.preparation.photographs import REJECTS_FILE, prepare
    from morphable_train.preparation.records import PrepareConfig
    from morphable_train.runs.checkpoint import checkpoint_paths, read_checkpoint
    from morphable_train.runs.loop import has_checkpoint
    from morphable_train.stages import engine as stage_engine

    photos = folder / "photos"
    photos.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for index in range(16):
        Image.fromarray(noise.integers(0, 255, (200, 200, 3), np.uint8)).save(photos / f"{index:02d}.png")
    (photos / "broken.png").write_bytes(b"no picture")
    points = noise.uniform(50, 150, (1, 68, 2)).astype(np.float32)
    model_file = folder / "model.safetensors"
    stand_in_model().save(model_file)
    config = tiny_config(model_file, (write_shards(folder / "shards", 12),), steps=8, keep_checkpoints=10)

    def find(image):
        WORK.value += 1
        return points

    def run_prepare(out: Path) -> int:
        prepare(photos, out, PrepareConfig(skin="none", records_per_shard=3, size_px=128), finder=find)
        return 0

    render = generated.render_scene

    def counted(scene):
        WORK.value += 1
        return render(scene)

    def run_generate(out: Path) -> int:
        generated.render_scene = counted
        scenes = SceneConfig(size_px=96, max_faces=2, max_face_px=80.0)
        generate(GenerateConfig(scenes=scenes, out=out, count=6, shard_size=2, workers=1), quiet=True)
        return 0

    def run_train(out: Path) -> int:
        torch.set_num_threads(1)
        step = stage_engine.Trainer.step

        def counted_step(self, loaded):
            WORK.value += 1
            return step(self, loaded)

        stage_engine.Trainer.step = counted_step
        train(config, out, resume=has_checkpoint(out))
        return 0

    def checkpoints(out: Path) -> dict[str, str]:
        found = {}
        for path in checkpoint_paths(out):
            groups, progress = read_checkpoint(path, None)
            digest = hashlib.sha256(str((progress.step, progress.skipped)).encode())
            for group in ("network", "average", "optimizer"):  # training does not use the global random states
                for name, tensor in sorted(groups[group].items()):
                    digest.update(name.encode() + tensor.numpy().tobytes())
            found[path.name] = digest.hexdigest()
        return found

    trained = folder / "trained"

    def run_package(out: Path) -> int:
        if not has_checkpoint(trained):
            train(config, trained)
        out.mkdir(parents=True, exist_ok=True)
        package(trained, out / "weights.safetensors", PackageOptions(license="CC0-1.0", training_data="stand-in"))
        return 0

    return {
        "prepare": Writer(run=run_prepare, digests=lambda out: whole_files(out, without=(REJECTS_FILE,))),
        "generate": Writer(run=run_generate),
        "train": Writer(run=run_train, digests=checkpoints),
        "package": Writer(run=run_package),
    }


if __name__ == "__main__":
    sys.exit(main())
