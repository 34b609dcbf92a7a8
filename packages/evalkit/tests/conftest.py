"""Small made-up faces shared by the tests."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from morphable_evalkit import Predictions

SHARED_DATA = Path(__file__).parents[3].parent / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("shared/data is absent: real ground truth and photographs are not part of the repository")
    return SHARED_DATA


@pytest.fixture
def face_points() -> Callable[..., np.ndarray]:
    """68 points spread over a box of the given center and size."""

    def make(center: tuple[float, float] = (100.0, 100.0), size: float = 50.0, seed: int = 0) -> np.ndarray:
        points = np.random.default_rng(seed).uniform(-0.5, 0.5, (68, 2))
        points[0], points[1] = (-0.5, -0.5), (0.5, 0.5)
        return points * size + center

    return make


@pytest.fixture
def make_predictions() -> Callable[..., Predictions]:
    """Predictions from (image, points) pairs; every image is 200 x 300 (h x w)."""

    def make(faces: list[tuple[str, np.ndarray]], images: list[str] | None = None, **fields: object) -> Predictions:
        names = tuple(images if images is not None else sorted({name for name, _ in faces}))
        points = np.array([p for _, p in faces], dtype=np.float64).reshape(len(faces), 68, 2)
        finite = np.nan_to_num(points)
        arrays: dict[str, object] = {
            "processed_image": names,
            "processed_size_hw": np.tile(np.int64([200, 300]), (len(names), 1)),
            "image": tuple(name for name, _ in faces),
            "image_size_hw": np.tile(np.int64([200, 300]), (len(faces), 1)),
            "score": np.linspace(1.0, 0.5, len(faces)),
            "box_xyxy_px": np.concatenate([finite.min(axis=1), finite.max(axis=1)], axis=-1),
            "landmarks68_px": points,
        }
        return Predictions(**(arrays | fields))

    return make


def _load_scan_faces() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scan_faces", Path(__file__).with_name("scan_faces.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def scan_faces() -> ModuleType:
    """The made-up face surface (tests/scan_faces.py)."""
    return _load_scan_faces()
