"""Sessions of the workspace: `nox -l` lists them, `nox -s tests` runs one.

One environment (`workspace`) holds every package, editable, with the tools; most sessions run in it.
Versions come from constraints.txt, which `nox -s lock` exports from poetry.lock.
"""

import shutil
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests"]

ROOT = Path(__file__).parent
CONSTRAINTS = ROOT / "constraints.txt"
WORKSPACE = ROOT / ".nox" / "workspace"
PUBLIC_API = ROOT / "tests" / "test_public_api.py"  # of the packages that are installed

# What the tests of a package use beyond its run-time dependencies: extras, and packages of their own.
TEST_EXTRAS = {
    "morphable": "build,cli,convert",
    "detector_head": "backbones,onnx,openvino",
    "losses": "perception",
    "regressors": "backbones",
    "reconstruct": "cluster,export,heif,openvino,service,video,viewer",
    "train": "backbones,face-alignment,landmarks,mat,tensorboard,video",
}
TEST_PACKAGES: dict[str, tuple[str, ...]] = {
    "detector_head": ("ai-edge-litert",),
    "reconstruct": ("httpx2", "scikit-image", "selenium", "trimesh"),
    "train": ("onnx", "webdataset"),
}
# Benchmarks that need neither data nor trained weights.
BENCHMARKS = (
    ("regressor_sizes.py",),
    ("detector_head.py", "sizes"),
    ("detector_head.py", "latency"),
    ("morphable_decode.py",),
    ("render.py",),
)
# PyTorch without CUDA, as the README installs it.
CPU_TORCH = ("torch", "--index-url", "https://download.pytorch.org/whl/cpu")
TEST_TOOLS = ("beartype", "hypothesis", "pytest")
SITE_TOOLS = ("mkdocstrings-python>=2.0", "tomli-w>=1.2", "zensical>=0.0.73,<0.2")
NOTEBOOK_TOOLS = ("ipykernel", "nbclient")
TOOLS = (
    "build",
    "deptry",
    "import-linter",
    "mypy",
    "packaging",
    "poetry-core",
    "ruff",
    "twine",
    *NOTEBOOK_TOOLS,
    *SITE_TOOLS,
)


def package_siblings() -> dict[str, tuple[str, ...]]:
    """Read from the packages' own pyproject.toml which packages each one needs; a package stands behind those."""
    projects = {path.parent.name: tomllib.loads(path.read_text()) for path in ROOT.glob("packages/*/pyproject.toml")}
    by_distribution = {project["project"]["name"]: name for name, project in projects.items()}
    needed = {
        name: {by_distribution[other] for other in project["tool"]["poetry"].get("dependencies", {})}
        for name, project in projects.items()
    }
    ordered = TopologicalSorter({name: sorted(needed[name]) for name in sorted(needed)}).static_order()
    return {name: tuple(sorted(needed[name])) for name in ordered}


def package_dir(package: str) -> Path:
    """Return the folder of a package."""
    return ROOT / "packages" / package


SIBLINGS = package_siblings()


def import_name(package: str) -> str:
    """Return what the package is imported as."""
    return package if package == "morphable" else f"morphable_{package}"


def editable(package: str, *, extras: bool) -> tuple[str, str]:
    """Return pip's two arguments that install a package as it stands in the tree."""
    suffix = f"[{TEST_EXTRAS[package]}]" if extras and package in TEST_EXTRAS else ""
    return "-e", f"{package_dir(package)}{suffix}"


def tool(name: str) -> str:
    """Return the path of a program in the workspace environment."""
    folder = WORKSPACE / ("Scripts" if sys.platform == "win32" else "bin")
    return str(folder / name)


@nox.session
def workspace(session: nox.Session) -> None:
    """Install every package, editable, and the tools into one environment."""
    packages = [argument for package in SIBLINGS for argument in editable(package, extras=True)]
    used_by_tests = [name for names in TEST_PACKAGES.values() for name in names]
    session.install("-c", str(CONSTRAINTS), *packages, *TEST_TOOLS, *used_by_tests, *TOOLS)


@nox.session(venv_backend="none", requires=["workspace"])
def lint(session: nox.Session) -> None:
    """Check style, import borders and declared dependencies."""
    session.run(tool("ruff"), "check", ".", external=True)
    session.run(tool("ruff"), "format", "--check", ".", external=True)
    session.run(tool("lint-imports"), external=True)
    for package in SIBLINGS:
        session.chdir(package_dir(package))
        session.run(tool("deptry"), "src", "--config", "pyproject.toml", external=True)


@nox.session(venv_backend="none", requires=["workspace"])
def types(session: nox.Session) -> None:
    """Run mypy, strict, once for each package."""
    for package in session.posargs or SIBLINGS:
        session.chdir(package_dir(package))
        config = str(ROOT / "pyproject.toml")
        session.run(tool("mypy"), "--config-file", config, "-p", import_name(package), external=True)


@nox.session(venv_backend="none", requires=["workspace"])
def tests(session: nox.Session) -> None:
    """Run the fast tests of every package in the shared environment."""
    session.run(tool("pytest"), *session.posargs, external=True)


@nox.session(venv_backend="none", requires=["workspace"])
def slow(session: nox.Session) -> None:
    """Run the tests that take minutes."""
    session.run(tool("pytest"), "-m", "slow", *session.posargs, external=True)


def isolated_tests(package: str) -> None:
    """Register `tests(<package>)`: only the package and its declared siblings are installed."""

    @nox.session(name=f"tests({package})")
    def session_of_package(session: nox.Session) -> None:
        """Run the tests of one package, alone with its declared siblings."""
        siblings = [argument for name in SIBLINGS[package] for argument in editable(name, extras=False)]
        own = editable(package, extras=True)
        tools = (*TEST_TOOLS, *TEST_PACKAGES.get(package, ()))
        session.install("-c", str(CONSTRAINTS), *siblings, *own, *tools)
        session.run("pytest", str(package_dir(package)), str(PUBLIC_API), *session.posargs)


for _package in SIBLINGS:
    isolated_tests(_package)


@nox.session(venv_backend="none", requires=["workspace"])
def demo(session: nox.Session) -> None:
    """Reconstruct a rendered group and a photograph, or the pictures given after `--`, into out/."""
    session.run(
        tool("python"), str(package_dir("reconstruct") / "examples" / "demo.py"), *session.posargs, external=True
    )


@nox.session(venv_backend="none", requires=["workspace"])
def docs(session: nox.Session) -> None:
    """Build the site into build/site/html; a link that leads nowhere is an error."""
    session.run(tool("python"), str(ROOT / "docs" / "site" / "build.py"), external=True)


@nox.session(venv_backend="none", requires=["workspace"])
def train_stage1(session: nox.Session) -> None:
    """Train single faces on procedural scenes into runs/stage1; options of `morphable-train stage1` go after `--`."""
    options = ("--preset", "smoke", "--synth", "800", "--out", "runs/stage1")
    session.run(tool("morphable-train"), "stage1", *options, *session.posargs, external=True)


@nox.session(venv_backend="none", requires=["workspace"])
def train_stage2(session: nox.Session) -> None:
    """Train groups from runs/stage1 into runs/stage2; options of `morphable-train stage2` go after `--`."""
    options = ("--preset", "smoke", "--synth", "150", "--initial", "runs/stage1", "--out", "runs/stage2")
    session.run(tool("morphable-train"), "stage2", *options, *session.posargs, external=True)


@nox.session(venv_backend="none", requires=["workspace"])
def fuzz(session: nox.Session) -> None:
    """Read mutated files with every reader; options (--count, --seed, --keep) and names of readers go after `--`."""
    session.run(tool("python"), str(ROOT / "tests" / "fuzz" / "run.py"), *session.posargs, external=True)


@nox.session(venv_backend="none", requires=["workspace"])
def bench(session: nox.Session) -> None:
    """Run the benchmarks that need no data; a part of their names after `--` selects some."""
    for script, *options in BENCHMARKS:
        if not session.posargs or any(part in script for part in session.posargs):
            session.run(tool("python"), str(ROOT / "benchmarks" / script), *options, external=True)


@nox.session(venv_backend="none", requires=["workspace"])
def dist(session: nox.Session) -> None:
    """Build source archive and wheel of every package into dist/ and check their metadata."""
    build_packages(session, ROOT / "packages")


@nox.session(venv_backend="none", requires=["workspace"])
def release(session: nox.Session) -> None:
    """Build as `dist` does, with the repository's address, which goes after `--`, in metadata and READMEs."""
    (address,) = session.posargs
    copies = ROOT / "build" / "release"
    shutil.rmtree(copies, ignore_errors=True)
    session.run(tool("python"), "release/with_addresses.py", address, str(copies), external=True)
    build_packages(session, copies)


def build_packages(session: nox.Session, folder: Path) -> None:
    """Build the packages of a folder into dist/ and check their metadata."""
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    for package in SIBLINGS:
        options = ("--no-isolation", "--outdir", "dist")  # poetry-core, which builds, is in the workspace
        session.run(tool("python"), "-m", "build", *options, str(folder / package), external=True)
    session.run(tool("twine"), "check", "--strict", *map(str, sorted((ROOT / "dist").iterdir())), external=True)


@nox.session(requires=["dist"])
def wheels(session: nox.Session) -> None:
    """Install the wheels alone in a fresh environment and import each package."""
    built = sorted(str(path) for path in (ROOT / "dist").glob("*.whl"))
    session.install("-c", str(CONSTRAINTS), *built)
    session.chdir(session.create_tmp())
    for package in SIBLINGS:
        session.run("python", "-c", f"import {import_name(package)} as package; print(package.__file__)")


@nox.session(venv_backend="venv", reuse_venv=False, requires=["dist"])
def install(session: nox.Session) -> None:
    """Install without CUDA in a fresh environment by pip, as the README says, and reconstruct a picture.

    First from the checkout, then from the wheels in dist/. Arguments after `--` take the place of `CPU_TORCH`.
    """
    session.install(*(session.posargs or CPU_TORCH))
    session.install("-r", "requirements.txt")
    session.run("pip", "check")
    measure = ("benchmarks/install.py", "examples/astronaut.jpg", "--without", "nvidia", "torchvision", "triton")
    session.run("python", *measure)
    needed = [import_name(package) for package in ("reconstruct", *SIBLINGS["reconstruct"])]
    built = [str(path) for name in needed for path in (ROOT / "dist").glob(f"{name}-*.whl")]
    session.install("--force-reinstall", "--no-deps", *built)
    session.run("pip", "check")
    session.run("python", *measure)


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Resolve poetry.lock anew and export constraints.txt (needs poetry and poetry-plugin-export)."""
    session.run("poetry", "lock", external=True)
    export = ("export", "--all-groups", "--all-extras", "--without-hashes", "--format", "constraints.txt")
    session.run("poetry", *export, "--output", str(CONSTRAINTS), external=True)
