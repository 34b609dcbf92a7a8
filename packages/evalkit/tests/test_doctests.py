"""Every public name has an example, and every example runs."""

import doctest
import importlib
import pkgutil

import pytest

import morphable_evalkit

MODULES = [
    info.name
    for info in pkgutil.walk_packages(morphable_evalkit.__path__, "morphable_evalkit.")
    if not info.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.parametrize(
    "name", [name for name in morphable_evalkit.__all__ if name.isidentifier() and not name.isupper()]
)
def test_every_public_function_and_class_has_an_example(name):
    assert ">>>" in getattr(morphable_evalkit, name).__doc__
