"""The path of a picture through the modules, as docs/architecture.md names it: seen in a run of the command."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def named_modules() -> set[str]:
    """Modules of the first table of docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.split("## The path of a picture")[1].split("## ")[0].split("\n\nBeside")[0]
    paths = re.findall(r"`(\w+)/([\w/]+)\.py`", table)
    return {".".join(["morphable" if p == "morphable" else f"morphable_{p}", *rest.split("/")]) for p, rest in paths}


def watch(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, *, modules: set[str]) -> None:
    """Note the modules on the stack whenever a method is called, and those of its class; of files, of the GLB alone."""
    original = getattr(owner, method)

    def watched(*args: object, **options: object) -> object:
        if owner is Path and Path(str(args[1])).suffix != ".glb":
            return original(*args, **options)
        modules.update(base.__module__ for base in owner.__mro__)
        frame = sys._getframe(1)
        while frame:
            modules.add(frame.f_globals.get("__name__", ""))
            frame = frame.f_back
        return original(*args, **options)

    monkeypatch.setattr(owner, method, watched)


def test_picture_passes_through_the_modules_that_the_documentation_names(tmp_path, monkeypatch):
    import onnxruntime
    import PIL.ImageFile

    from morphable import FaceParameters
    from morphable_reconstruct import Reconstructor, Scene
    from morphable_reconstruct.commands.entry import main

    modules: set[str] = set()
    for owner, method in (
        (Reconstructor, "__init__"),
        (PIL.ImageFile.ImageFile, "load"),
        (onnxruntime.InferenceSession, "run"),
        (FaceParameters, "__init__"),
        (Scene, "__init__"),
        (Path, "replace"),  # of the temporary file by the whole one
    ):
        watch(monkeypatch, owner, method, modules=modules)
    picture = str(ROOT / "examples" / "astronaut.jpg")
    options = ["--save", "glb", "--texture", "albedo", "--texture-px", "64", "--size-px", "256"]
    assert main([picture, "--out", str(tmp_path), *options]) == 0
    assert list(tmp_path.glob("*.glb"))
    passed = {name for name in modules if name.startswith("morphable")}
    assert passed == named_modules()
    assert len(passed) <= 20
