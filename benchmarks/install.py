"""Measure an installation: what it weighs, and how long the first result takes.

Run it with the Python of a fresh environment: `python benchmarks/install.py PICTURE`. `nox -s install` makes such
environments as the README says and measures them.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from importlib.metadata import Distribution, distributions
from pathlib import Path

LISTED_MB = 20
"""Smaller distributions are counted together."""


def size_mb(distribution: Distribution) -> float:
    """Return the size of a distribution's files."""
    paths = (Path(str(distribution.locate_file(file))) for file in distribution.files or [])
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def seconds_of(command: list[str], kernels: str) -> str:
    """Run a command and say how long it takes, by the clock and of processors (on Windows unknown: 0).

    Args:
        command: What to run.
        kernels: Folder of compiled kernels.
    """
    start, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"NUMBA_CACHE_DIR": kernels})
    wall, after = time.perf_counter() - start, os.times()
    processor = after.children_user - before.children_user + after.children_system - before.children_system
    return f"{wall:.1f} s ({processor:.1f} s of processors)"


def main() -> int:
    """Print the tables; return 1 where something unwanted is installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path, help="photograph to reconstruct")
    parser.add_argument(
        "--without", nargs="*", default=[], metavar="PREFIX", help="distributions that may not be there"
    )
    options = parser.parse_args()

    sizes = {found.metadata["Name"]: size_mb(found) for found in distributions()}
    own = sum(size for name, size in sizes.items() if name.startswith("morphable"))
    others = {name: size for name, size in sizes.items() if not name.startswith("morphable")}
    large = {name: size for name, size in others.items() if size >= LISTED_MB}
    print("| installed | MB |\n|---|---:|")
    for name, size in sorted(large.items(), key=lambda item: -item[1]):
        print(f"| {name} | {size:.0f} |")
    print(f"| {len(others) - len(large)} smaller ones | {sum(others.values()) - sum(large.values()):.0f} |")
    print(f"| this project, weights and face model included | {own:.0f} |\n| together | {sum(sizes.values()):.0f} |")

    program = Path(sysconfig.get_path("scripts")) / "reconstruct"
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as kernels:
        command = [str(program), str(options.picture), "--out", folder, "--save", "glb,overlay", "--overwrite"]
        first, second = seconds_of(command, kernels), seconds_of(command, kernels)
        written = sorted(path.name for path in Path(folder).iterdir() if not path.name.startswith("."))
    print(f"\nFirst start to result: {first}; the next: {second}; {', '.join(written)}")

    unwanted = sorted(name for name in sizes if name.startswith(tuple(options.without)) and options.without)
    if unwanted:
        sys.stderr.write(f"installed, but should not be: {', '.join(unwanted)}\n")
    return 1 if unwanted else 0


if __name__ == "__main__":
    sys.exit(main())
