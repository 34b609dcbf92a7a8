"""The container file names what is there: it cannot be built in every place where tests run."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Containerfile").read_text()
FOLDER = {"morphable": "morphable"} | {
    f"morphable-{path.name.replace('_', '-')}": path.name for path in (ROOT / "packages").iterdir() if path.is_dir()
}


def dependencies(folder: str) -> set[str]:
    """Return the folders of our packages that a package needs, itself included."""
    project = tomllib.loads((ROOT / "packages" / folder / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^A-Za-z0-9-]", needed)[0] for needed in project["dependencies"]}
    needed = {FOLDER[name] for name in names & FOLDER.keys()}
    return {folder}.union(*map(dependencies, needed))


def test_what_is_copied_is_there_and_enough():
    copied = re.findall(r"^COPY (\S+) (\S+)$", TEXT, re.MULTILINE)
    for source, _ in copied:
        assert (ROOT / source).exists(), source
    packages = {source.removeprefix("packages/") for source, _ in copied if source.startswith("packages/")}
    assert packages == dependencies("reconstruct")
    installed = set(re.findall(r"\./packages/(\w+)", TEXT))
    assert installed == packages


def test_extras_are_declared():
    (extras,) = re.findall(r"\./packages/reconstruct\[([\w,-]+)\]", TEXT)
    project = tomllib.loads((ROOT / "packages" / "reconstruct" / "pyproject.toml").read_text())["project"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert 'ENTRYPOINT ["reconstruct", "serve"' in TEXT
    assert "reconstruct" in project["scripts"]


def test_the_build_context_has_what_is_copied():
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    for source, _ in re.findall(r"^COPY (\S+) (\S+)$", TEXT, re.MULTILINE):
        assert source.split("/")[0] in kept
