import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def model():
    from stand_in import stand_in_model

    return stand_in_model()


@pytest.fixture(scope="session")
def surface(model):
    from morphable_train.surface import SurfaceSample

    return SurfaceSample(model, num_dense=64)


@pytest.fixture(scope="session")
def model_file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "stand_in.safetensors"
    model.save(path)
    return path


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
