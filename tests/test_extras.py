"""Every call of `import_extra` names an extra that there is, and that brings the module."""

import ast
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
PROJECTS = {
    project["name"]: project
    for project in (tomllib.loads((folder / "pyproject.toml").read_text())["project"] for folder in PACKAGES)
}


def values(node: ast.expr, call: ast.Call, tree: ast.Module, constants: dict[str, str | tuple[str, ...]]) -> set[str]:
    """The texts that an argument can be: constants, or what a loop around the call goes over; else its own words."""
    if isinstance(node, ast.Constant):
        return {str(node.value)}
    if isinstance(node, ast.IfExp):
        return values(node.body, call, tree, constants) | values(node.orelse, call, tree, constants)
    if isinstance(node, ast.Name) and node.id in constants:
        return {str(constants[node.id])}
    for around in (loop for loop in ast.walk(tree) if call in ast.walk(loop)):
        for loop in (around, *getattr(around, "generators", ())):
            if isinstance(loop, ast.For | ast.comprehension) and ast.unparse(loop.target) == ast.unparse(node):
                over = loop.iter
                return set(constants[over.id] if isinstance(over, ast.Name) else ast.literal_eval(over))
    return {ast.unparse(node)}


def named_texts(source: str) -> dict[str, str | tuple[str, ...]]:
    """The constants, and the tuples of them, that a module gives names to."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.Tuple):
            parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            if all(isinstance(part, ast.Constant) for part in parts):
                found[ast.unparse(node.targets[0])] = ast.literal_eval(node.value)
    return found


def named_extras(source: str, constants: dict[str, str | tuple[str, ...]]) -> Iterator[tuple[str, str, str]]:
    """Module, distribution and extra of each call of a module; no module where the call gets the others as a pair."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            pair = [element.value for element in node.elts if isinstance(element, ast.Constant)]
            if len(pair) == 2 and pair[0] in PROJECTS:
                yield "", str(pair[0]), str(pair[1])
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "import_extra"):
            continue
        if isinstance(node.args[1], ast.Starred):
            continue
        texts = [values(argument, node, tree, constants) for argument in node.args]
        yield from ((m, d, e) for m in texts[0] for d in texts[1] for e in texts[2])


def brought(distribution: str, extra: str) -> set[str]:
    """Distributions that an extra installs, by the pyproject.toml of the package."""
    found = set()
    for entry in PROJECTS[distribution]["optional-dependencies"][extra]:
        requirement = Requirement(entry)
        found.add(canonicalize_name(requirement.name))
        for inner in requirement.extras:
            if requirement.name in PROJECTS:
                found |= brought(requirement.name, inner)
    return found


def wrong(module: str, distribution: str, extra: str) -> bool:
    """Whether no such extra brings the module."""
    if extra not in PROJECTS[distribution].get("optional-dependencies", {}):
        return True
    providers = {canonicalize_name(name) for name in packages_distributions().get(module.partition(".")[0], ())}
    return bool(module) and not providers & brought(distribution, extra)


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_extras_that_errors_name_bring_the_module(folder):
    sources = {path: path.read_text() for path in sorted((folder / "src").rglob("*.py"))}
    shared = {name: value for source in sources.values() for name, value in named_texts(source).items()}
    calls = {
        (path.name, *call)
        for path, source in sources.items()
        for call in named_extras(source, shared | named_texts(source))
    }
    assert [call for call in sorted(calls) if wrong(*call[1:])] == []


def test_wrong_extras_are_noticed():
    source = (
        "def f(engine):\n"
        "    import_extra(engine, 'morphable-reconstruct', engine)\n"
        "    import_extra('onnx', OURS, 'video' if engine else 'export')\n"
        "    for module in ('av', 'viser.extras'):\n"
        "        import_extra(module, OURS, 'video')\n"
        "    load(extra=('morphable-train', 'matlab'))\n"
    )
    found = set(named_extras(source, {"OURS": "morphable-reconstruct"}))
    assert {call for call in found if wrong(*call)} == {
        ("engine", "morphable-reconstruct", "engine"),
        ("onnx", "morphable-reconstruct", "video"),
        ("viser.extras", "morphable-reconstruct", "video"),
        ("", "morphable-train", "matlab"),
    }
