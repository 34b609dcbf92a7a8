"""Checks of the workspace itself: the lock, the wheels' metadata, the folders."""

import hashlib
import tomllib
import zipfile
from collections import defaultdict
from email.parser import Parser
from itertools import combinations, product
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from poetry.core.masonry import api

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
ENVIRONMENTS = [
    {
        "python_version": python,
        "python_full_version": f"{python}.2",
        "sys_platform": platform,
        "platform_system": system,
        "platform_machine": machine,
        "os_name": "nt" if system == "Windows" else "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    for python, (platform, system), machine in product(
        ("3.11", "3.12", "3.13", "3.14"),
        (("linux", "Linux"), ("darwin", "Darwin"), ("win32", "Windows")),
        ("x86_64", "AMD64", "arm64", "aarch64"),
    )
]


def overlapping(first: str | None, second: str | None) -> bool:
    """Return whether one environment takes both of two locked entries."""
    markers = [Marker(text) for text in (first, second) if text]
    return any(all(marker.evaluate(environment) for marker in markers) for environment in ENVIRONMENTS)


def locked_twice(packages: list[dict]) -> list[str]:
    """Return the names with two locked versions that one environment would install over each other."""
    entries = defaultdict(list)
    for package in packages:
        entries[package["name"]].append(package.get("markers"))
    return [name for name, found in entries.items() if any(overlapping(a, b) for a, b in combinations(found, 2))]


def test_no_environment_gets_two_versions_of_one_package():
    packages = tomllib.loads((ROOT / "poetry.lock").read_text())["package"]
    assert len(packages) > 50
    assert locked_twice(packages) == []


def test_two_versions_are_noticed():
    # The pair that Poetry locks for torch 2.15 when nothing pins it, and a pair that is split cleanly.
    clash = [
        {"name": "nvidia-cublas", "markers": 'sys_platform == "linux" and platform_machine == "x86_64"'},
        {"name": "nvidia-cublas", "markers": 'platform_system == "Linux"'},
        {"name": "scipy", "markers": 'python_version < "3.13"'},
        {"name": "scipy", "markers": 'python_version >= "3.13"'},
    ]
    assert locked_twice(clash) == ["nvidia-cublas"]


def test_constraints_are_exported_from_this_lock():
    packages = tomllib.loads((ROOT / "poetry.lock").read_text())["package"]
    # The CUDA pins are an optional group, exported too: they hold the versions torch asks for.
    locked = {f"{package['name']}=={package['version']}" for package in packages if "source" not in package}
    exported = {
        line.split(" ; ")[0].split("[")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    assert exported == locked


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_wheel_names_its_siblings_by_range(package, tmp_path, monkeypatch):
    monkeypatch.chdir(package)
    wheel = api.build_wheel(str(tmp_path))
    with zipfile.ZipFile(tmp_path / wheel) as archive:
        names = archive.namelist()
        metadata = Parser().parsestr(archive.read(next(name for name in names if name.endswith("METADATA"))).decode())
    requirements = metadata.get_all("Requires-Dist") or []
    assert not [requirement for requirement in requirements if "file:" in requirement or "@" in requirement]
    siblings = [requirement for requirement in requirements if requirement.startswith("morphable")]
    assert all("<0.2" in requirement and ">=0.1" in requirement for requirement in siblings)
    declared = tomllib.loads((package / "pyproject.toml").read_text())["tool"]["poetry"].get("dependencies", {})
    assert {Requirement(requirement).name for requirement in siblings} == set(declared)
    assert any(name.endswith("/py.typed") for name in names)
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in names)
    assert metadata["Keywords"]
    assert "Typing :: Typed" in metadata.get_all("Classifier")


def test_files_of_a_release_have_the_sums_that_are_listed():
    folder = ROOT / "release"
    listed = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.safetensors")}
    assert listed == files


def test_packages_have_the_same_license_and_version_and_classifiers():
    projects = [tomllib.loads((package / "pyproject.toml").read_text())["project"] for package in PACKAGES]
    for package in PACKAGES:  # a copy, because neither source archives nor Windows keep links out of a package
        assert not (package / "LICENSE").is_symlink()
        assert (package / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert {project["license"] for project in projects} == {"MIT"}
    assert len({project["version"] for project in projects}) == 1
    assert len({tuple(project["classifiers"]) for project in projects}) == 1


def test_reconstructing_needs_neither_torchvision_nor_anything_of_cuda():
    """torchvision's default build would put CUDA's PyTorch in the place of a CPU build."""
    needed, queue = set(), ["morphable-reconstruct"]
    projects = {(data := tomllib.loads((p / "pyproject.toml").read_text())["project"])["name"]: data for p in PACKAGES}
    while queue:
        name = queue.pop()
        if name in needed:
            continue
        needed.add(name)
        queue += [Requirement(entry).name for entry in projects.get(name, {"dependencies": []})["dependencies"]]
    third = needed - projects.keys()
    allowed = {
        "torch",
        "numpy",
        "onnxruntime",
        "scipy",
        "pillow",
        "safetensors",
        "jaxtyping",
        "rich",
        "roma",
        "trimesh",
        "tyro",
        "numba",
        "cattrs",
    }
    assert third <= allowed
