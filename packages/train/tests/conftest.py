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
    from morphable_train.data.surface import SurfaceSample

    return SurfaceSample(model, num_dense=64)


@pytest.fixture(scope="session")
def two_faces(model, surface):
    """One rendered picture of two faces: the drawn parameters by name, and the batch with their exact labels."""
    from stand_in import draw_truth, render_record

    from morphable.geometry import Pinhole, camera_from_model
    from morphable_train.data.batch import Batch, FaceTargets

    truth = draw_truth(model, 2, 5, size_px=128, face_px=(40, 50))
    record = render_record(model, truth, "scene", size_px=128)
    faces = FaceTargets(
        image_index=torch.zeros(2, dtype=torch.long),
        landmarks68_px=torch.from_numpy(record.labels.landmarks68_px),
        landmark_weight=torch.ones(2, 68),
        dense_px=Pinhole((128, 128)).project(
            camera_from_model(
                surface.few.decode_shape(truth["identity"], truth["expression"])[:, 68:],
                truth["rotation_head"],
                truth["translation_m"],
            )
        ),
        contour=torch.zeros(2, dtype=torch.bool),
        exact=torch.ones(2, dtype=torch.bool),
        identity=truth["identity"],
        expression=truth["expression"],
        rotation_head=truth["rotation_head"],
        translation_m=truth["translation_m"],
    )
    image = torch.from_numpy(record.image).permute(2, 0, 1)[None].float() / 255
    skin = torch.from_numpy(record.skin)[None, None].float() / 255
    return truth, Batch(image, skin, faces, torch.ones(1, dtype=torch.bool))


@pytest.fixture(scope="session")
def model_file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "stand_in.safetensors"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def part_shards(tmp_path_factory):
    """Shards of six faces with parts."""
    from tiny_recipes import write_part_shards

    return write_part_shards(tmp_path_factory.mktemp("faces") / "shards", 6)


@pytest.fixture(scope="session")
def triples(tmp_path_factory):
    """Shards of four people in three views."""
    from tiny_recipes import write_part_shards

    return write_part_shards(tmp_path_factory.mktemp("people") / "shards", 4, triples=True)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
