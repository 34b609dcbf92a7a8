"""The structure of the code: floors, no import circle, no module behind a function of its name, one command style."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {path.parent.name: path.parent for path in sorted(ROOT.glob("packages/*/pyproject.toml"))}


def import_name(package: str) -> str:
    return package if package == "morphable" else f"morphable_{package}"


def project(package: str) -> dict:
    return tomllib.loads((PACKAGES[package] / "pyproject.toml").read_text())["project"]


def siblings(package: str) -> set[str]:
    """The packages that a package declares, without those of its extras."""
    by_distribution = {project(name)["name"]: name for name in PACKAGES}
    declared = (entry.partition(">")[0].partition("[")[0].strip() for entry in project(package)["dependencies"])
    return {by_distribution[name] for name in declared if name in by_distribution}


def modules(package: str) -> dict[str, Path]:
    source = PACKAGES[package] / "src"
    found = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[str]:
    """Every imported name in full, also within functions, but for `if TYPE_CHECKING`."""
    unseen = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            here = module.split(".") if is_package else module.split(".")[:-1]
            base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (base, node.module) if part)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def graph(files: dict[str, Path]) -> dict[str, set[str]]:
    """Which of some modules each one imports."""
    edges = {}
    for module, path in files.items():
        named = imports(ast.parse(path.read_text()), module, is_package=path.name == "__init__.py")
        edges[module] = {name if name in files else name.rpartition(".")[0] for name in named} & files.keys() - {module}
    return edges


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Modules that import each other; none once those without unmet imports are taken away again and again."""
    left = {module: set(targets) for module, targets in edges.items()}
    while free := {module for module, targets in left.items() if not targets & left.keys()}:
        left = {module: targets for module, targets in left.items() if module not in free}
    return sorted(left)


def shadowed(package_file: Path) -> set[str]:
    """Modules of a folder whose name its `__init__.py` gives to something else."""
    folder = package_file.parent
    inside = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    names = set()
    for node in ast.parse(package_file.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            own = (node.module or "").split(".")[-1] == folder.name or (node.level == 1 and node.module is None)
            names |= set() if own else {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
    return names & inside


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_circle(package):
    assert circle(graph(modules(package))) == []


def test_a_circle_is_noticed():
    # a imports b imports c imports b; d only looks on
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_hidden_by_a_function_of_its_name(package):
    assert [path for path in modules(package).values() if path.name == "__init__.py" and shadowed(path)] == []


def test_a_hidden_module_is_noticed(tmp_path):
    (tmp_path / "draw.py").write_text("def draw(): ...")
    (tmp_path / "__init__.py").write_text("from other.draw import draw\n")
    assert shadowed(tmp_path / "__init__.py") == {"draw"}


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_imported_is_declared_and_nothing_is_imported_by_name_at_run_time(package):
    known = {import_name(name): name for name in PACKAGES}
    used = set()
    for module, path in modules(package).items():
        tree = ast.parse(path.read_text())
        used |= {name.split(".")[0] for name in imports(tree, module, is_package=path.name == "__init__.py")}
        called = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and "import" in ast.unparse(node.func)]
        named = {arg.value for node in called for arg in node.args[:1] if isinstance(arg, ast.Constant)}
        assert not {name for name in named if str(name).split(".")[0] in known}, f"{path} imports a sibling by its name"
    assert {known[name] for name in used & known.keys()} - {package} <= siblings(package)


def test_floors_of_the_linter_are_those_of_the_packages():
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    floors = [set(floor.split(" | ")) for floor in linter["contracts"][0]["layers"]]
    assert set().union(*floors) == set(linter["root_packages"]) == {import_name(name) for name in PACKAGES}
    height = {name: -index for index, floor in enumerate(floors) for name in floor}
    for package in PACKAGES:
        for sibling in siblings(package):
            assert height[import_name(sibling)] < height[import_name(package)], f"{package} stands on {sibling}"
    assert siblings("evalkit") == set()
    assert all("evalkit" not in siblings(package) for package in PACKAGES)


def public_functions(package: str) -> set[str]:
    """Functions and classes that the modules of a package offer to others."""
    return {
        node.name
        for path in modules(package).values()
        if not path.name.startswith("_")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    }


def used_names(package: str) -> set[str]:
    """Names that the code of a package uses, not those that it only imports or defines."""
    trees = [ast.parse(path.read_text()) for path in modules(package).values()]
    return {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_no_loss_is_without_a_caller():
    offered, inside = public_functions("losses"), used_names("losses")
    outside = set().union(*(used_names(package) for package in PACKAGES if package != "losses"))
    assert {"center_focal_loss", "overlap_loss"} <= offered & outside - inside
    assert offered - inside - outside == set()


def test_evalkit_needs_no_torch():
    for module, path in modules("evalkit").items():
        named = imports(ast.parse(path.read_text()), module, is_package=path.name == "__init__.py")
        assert "torch" not in {name.split(".")[0] for name in named}, path


def test_drawn_architecture_is_that_of_the_code():
    code = "import draw_architecture; print(draw_architecture.draw(), end='')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "docs", capture_output=True, text=True, check=True)
    stored = (ROOT / "docs" / "architecture.svg").read_text()
    assert done.stdout == stored, "run python docs/draw_architecture.py"


def test_architecture_names_files_that_exist():
    named = re.findall(r"`(\w+)/([\w/]+\.py)`", (ROOT / "docs" / "architecture.md").read_text())
    assert len(named) > 30
    missing = [
        f"{package}/{path}"
        for package, path in named
        if package in PACKAGES and not (PACKAGES[package] / "src" / import_name(package) / path).is_file()
    ]
    assert missing == []


def test_few_types_describe_the_faces_of_a_training_sample():
    described = {
        node.name
        for module, path in modules("train").items()
        if module.startswith(("morphable_train.data", "morphable_train.objective", "morphable_train.stages"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign) and ast.unparse(field.target) == "landmarks68_px"
    }
    assert described == {"FaceLabels", "SourceFaces", "FaceTargets"}  # and `CellTargets`, the cells of the faces


def test_every_benchmark_is_listed_with_its_command():
    text = (ROOT / "benchmarks" / "README.md").read_text()
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    listed = set(re.findall(r"`(\w+\.py)`", text))
    assert listed == scripts


COMMANDS = {package: next(iter(project(package)["scripts"])) for package in PACKAGES if "scripts" in project(package)}


def status(main: Callable[[list[str]], int], *arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as end:  # tyro leaves so
        return int(end.code or 0)


@pytest.mark.parametrize("package", COMMANDS)
def test_command_knows_its_version_and_the_exit_statuses(package, capsys):
    module, _, function = project(package)["scripts"][COMMANDS[package]].partition(":")
    main = getattr(import_module(module), function)
    assert status(main, "--version") == 0
    assert capsys.readouterr().out.split() == [COMMANDS[package], project(package)["version"]]
    assert status(main, "--help") == 0
    assert status(main, "--no-such-option") == 2


@pytest.mark.parametrize("package", COMMANDS)
def test_help_that_nobody_reads_to_its_end_ends_without_a_traceback(package):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", import_name(package), "--help"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.stderr == b""


@pytest.mark.parametrize("package", COMMANDS)
def test_package_runs_as_a_module(package):
    path = PACKAGES[package] / "src" / import_name(package) / "__main__.py"
    tree = ast.parse(path.read_text())
    module, _, function = project(package)["scripts"][COMMANDS[package]].partition(":")
    assert f"{module}.{function}" in set(imports(tree, import_name(package), is_package=True))


def test_a_module_prints_the_version():
    done = subprocess.run([sys.executable, "-m", "morphable_synth", "--version"], capture_output=True, check=True)
    assert done.stdout.split() == [b"morphable-synth", b"0.1.0"]


def test_pictures_are_opened_in_one_place_that_starts_no_program():
    """Pillow left alone would start Ghostscript for a PostScript file that is named like a photograph."""
    places = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in modules(package).values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open"
    }
    assert places == {
        "packages/evalkit/src/morphable_evalkit/files.py",  # evalkit needs none of the other packages
        "packages/morphable/src/morphable/decoding.py",
        "packages/synth/src/morphable_synth/rendering/effects.py",  # what it has encoded itself
        "packages/train/src/morphable_train/face_head/photography.py",  # the same
    }
