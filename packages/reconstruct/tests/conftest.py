"""Fixtures shared by the tests of this package."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def model():
    from stand_ins import toy_model

    return toy_model()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(__file__).parents[3].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return folder


@pytest.fixture
def no_parsing(monkeypatch):
    """Stand-in faces are no faces to the parsing network."""
    from morphable_reconstruct.drawing import parsing

    monkeypatch.setattr(parsing, "_network", lambda: None)
