"""Read mutated files with every reader; whatever is not a documented refusal is a failure, and its file is kept.

A failure is an error other than ValueError, OSError or one that the reader documents, a crash, more than `--seconds`
of computing for one file, a wait of minutes, or more than `--memory-mb` above what the process had before. The files
are read in another process.
"""

import argparse
import faulthandler
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from mutations import mutate
from reader import Reader, file_name
from readers import readers

DEFAULT_COUNT = 200
FAILED = "FAILED"
KEPT = 3
"""Files kept of each kind of failure of a reader."""
POSITION = "position"
"""File in which a worker notes the reader and the number of the file that it reads."""
POSITION_BYTES = 64
COMPLAINTS = "complaints"
"""File that takes the standard error of a worker; some libraries write megabytes to it."""
COMPLAINT_CHARACTERS = 300
WAIT_FACTOR = 30
"""A file may take this many times `--seconds` on the clock, because a busy machine gives little of its time."""
KILOBYTES_PER_MB = 1024


def main(argv: list[str] | None = None) -> int:
    """Run all readers, or those that are named; 1 if one failed."""
    options = _options(argv)
    if options.worker:
        work(options)
        return 0
    names = options.readers or list(readers())
    failed = supervise(names, options)
    sys.stdout.write(f"{len(names) - len(failed)} of {len(names)} readers clean, {options.count} mutated files each\n")
    return 1 if failed else 0


def supervise(names: list[str], options: argparse.Namespace) -> set[str]:
    """Run the readers in a process of their own, a new one after each that ends early; return those that failed."""
    failed: set[str] = set()
    name, index = names[0], 0
    while True:
        with tempfile.TemporaryDirectory(dir=_memory_folder()) as folder:
            arguments = [sys.executable, __file__, "--worker", "--folder", folder, "--start", f"{name} {index}"]
            arguments += ["--count", str(options.count), "--seed", str(options.seed), "--keep", str(options.keep)]
            arguments += ["--seconds", str(options.seconds), "--memory-mb", str(options.memory_mb), *names]
            complaints = Path(folder) / COMPLAINTS
            with (
                complaints.open("wb") as taken,
                subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=taken, text=True) as worker,
            ):
                for line in worker.stdout or ():
                    sys.stdout.write(line)
                    sys.stdout.flush()
                    if FAILED in line:
                        failed.add(line.partition(":")[0])
            complaint = complaints.read_text(errors="replace")[-COMPLAINT_CHARACTERS:]
            position = Path(folder) / POSITION
            if worker.returncode == 0:
                return failed
            if not position.is_file() or not position.read_text().strip():
                sys.stdout.write(f"{name}: {FAILED} not started: {complaint}\n")
                return failed | {name}
            name, number = position.read_text().split()
            index = int(number) + 1
            failed.add(name)
            for path in Path(folder).glob("mutated-*"):
                kept = _keep(options.keep, f"{name}-{options.seed}-{number}-ended{path.suffix}", path.read_bytes())
                told = f"process ended with {worker.returncode} at {kept}: {complaint!r}"
                sys.stdout.write(f"{name}: {FAILED} {told}\n")


def _memory_folder() -> str | None:
    """A folder that no disk is behind, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def work(options: argparse.Namespace) -> None:
    """Read the mutated files of the named readers, from the position asked for."""
    warnings.simplefilter("ignore")
    for alarm in (signal.SIGPROF, signal.SIGALRM):  # tells where, then the alarm ends the process
        faulthandler.register(alarm, all_threads=False, chain=True)
    every = readers(options.readers)
    position = os.open(options.folder / POSITION, os.O_CREAT | os.O_WRONLY)
    first, start = options.start.split()
    for name in options.readers[options.readers.index(first) :]:
        counts: Counter[str] = Counter()
        failures: Counter[str] = Counter()
        began = time.process_time()
        reader = every[name]
        whole = reader.make()
        path = options.folder / file_name(reader)
        path.write_bytes(whole)
        reader.read(path)  # the whole file must be read
        for index in range(int(start) if name == first else 0, options.count):
            data = mutate(whole, random.Random(f"{options.seed} {name} {index}"))
            os.pwrite(position, f"{name} {index}".ljust(POSITION_BYTES).encode(), 0)
            outcome = _outcome(reader, path, data, options)
            if outcome not in ("read", "refused"):
                failures[outcome.partition(":")[0]] += 1
                if failures[outcome.partition(":")[0]] <= KEPT:
                    kept = _keep(options.keep, f"{name}-{options.seed}-{index}{reader.suffix}", data)
                    sys.stdout.write(f"{name}: {FAILED} {outcome} at {kept}\n")
                outcome = "failed"
            counts[outcome] += 1
        path.unlink(missing_ok=True)
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        taken_s = time.process_time() - began
        sys.stdout.write(
            f"{name}: {options.count} files of seed {options.seed}: {told}; {taken_s:.0f} s of computing\n"
        )
        sys.stdout.flush()


def _outcome(reader: Reader, path: Path, data: bytes, options: argparse.Namespace) -> str:
    """Read one mutated file; return `read`, `refused`, or what is wrong."""
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.setitimer(signal.ITIMER_PROF, options.seconds)
    signal.setitimer(signal.ITIMER_REAL, WAIT_FACTOR * options.seconds)
    try:
        reader.read(path)
        outcome = "read"
    except (ValueError, OSError, *reader.allowed):
        outcome = "refused"
    except BaseException as error:  # what this is about
        outcome = f"{type(error).__name__}: {str(error)[:160]!r}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / KILOBYTES_PER_MB
    return f"memory: {grown:.0f} MB" if grown > options.memory_mb else outcome


def _keep(folder: Path, name: str, data: bytes) -> Path:
    """Keep a file that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


def _options(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*", help="readers to run, by default all")
    parser.add_argument("--count", type=int, default=DEFAULT_COUNT, help="mutated files for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder of the files that failed")
    parser.add_argument("--seconds", type=float, default=10.0, help="limit of computing for one file")
    parser.add_argument("--memory-mb", type=float, default=2048.0, help="limit of what one file may add")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--start", default="", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
