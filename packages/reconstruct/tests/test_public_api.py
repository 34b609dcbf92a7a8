"""The public names, that they are what they say, and that their examples run."""

import doctest
import sys

import pytest

import morphable_reconstruct
from morphable_reconstruct.reconstructor.weights import BUNDLED_FOLDER

NAMES = (
    *("Camera", "Face", "Photograph", "ReconstructConfig", "Reconstructor", "RunConfig", "Scene"),
    *("TooManyPixelsError", "TrackedFrame", "VideoConfig", "albedo_texture", "face_crop", "find_sources"),
    *("load_photograph", "photo_texture", "prediction_rows", "run", "track", "write_animations", "write_predictions"),
)


def test_public_names():
    assert morphable_reconstruct.__all__ == list(NAMES)
    assert set(morphable_reconstruct._MODULE_OF) == set(NAMES)
    for name in NAMES:
        assert getattr(morphable_reconstruct, name).__name__ == name


@pytest.mark.skipif(not (BUNDLED_FOLDER / "mobile.safetensors").is_file(), reason="the bundled weights are not there")
@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name):
    pytest.importorskip("av")
    item = getattr(morphable_reconstruct, name)
    module = sys.modules[item.__module__]
    tests = doctest.DocTestFinder().find(item, name, module=module, extraglobs={"__name__": name})
    assert any(test.examples for test in tests)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in tests:
        test.globs.update(vars(module) | test.globs)
        report: list[str] = []
        assert runner.run(test, out=report.append).failed == 0, "".join(report)
