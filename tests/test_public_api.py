"""The public names of every package, and the examples of the docstrings, public or not.

Examples may use names that `docs/conventions.md` lists (`model`, `faces`, ...) without defining them.
"""

import doctest
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PUBLIC = {
    "morphable": """
        IBUG68_FLIP FaceParameters Fit InferenceDefaults ModelData ModelReference MorphableModel PointModel SparseRows
        SurfacePoints WeightsInfo check_model derive_landmarks fit_landmarks fit_surface load_model model_sha256
        read_weights read_weights_info reference_to write_weights
    """,
    "morphable_render": """
        bake_texture position_map_layout rasterize rasterize_faces render_faces render_pixels render_view sample_image
        shade_sh uv_layout uv_mesh vertex_normals views
    """,
    "morphable_detector_head": """
        PRESETS Detections DetectorConfig FaceDetector build_detector decode_centers encode_centers load_detector
        load_official save_detector
    """,
    "morphable_losses": """
        center_focal_loss coefficient_norm landmark_3d_loss landmark_loss parsing_loss perception_loss pixel_loss
        position_map_loss weighted_photo_loss wing_loss wm3dr_loss wpdc_loss
    """,
    "morphable_regressors": """
        CropRule FaceParser SystemSpec build_system count_operations crop_matrices cut_crops load_system
    """,
    "morphable_synth": """
        GenerateConfig SceneConfig SynthDataset check_assets generate read_shard render_scene sample_scene
    """,
    "morphable_train": """
        ShardReader ShardWriter TrainConfig evaluate package package_recipe prepare preset recipe_preset run_recipe
        train
    """,
    "morphable_reconstruct": """
        Camera Face Photograph ReconstructConfig Reconstructor RunConfig Scene TooManyPixelsError TrackedFrame
        VideoConfig albedo_texture face_crop find_sources load_photograph photo_texture prediction_rows run track
        write_animations write_predictions
    """,
    "morphable_evalkit": """
        SCAN_PROTOCOLS DatasetConfig GroundTruth Mesh Predictions Result ScanCase Scores Summary check_coverage
        check_predictions compare_results dense_error measure_scan nme open_dataset read_mesh read_predictions
        read_results score_alignment score_pose summarize summarize_faces summarize_placement summarize_pose
        write_predictions write_results
    """,
}
INSTALLED = [package for package in PUBLIC if importlib.util.find_spec(package)]
NAMES = [(package, name) for package in INSTALLED for name in PUBLIC[package].split()]
CONSTANTS = {"IBUG68_FLIP", "PRESETS", "SCAN_PROTOCOLS"}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules_with_examples(package: str) -> Iterator[str]:
    """The modules of a package whose text has an example."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    folder = Path(str(spec.origin)).parent
    for path in sorted(folder.rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """What examples use without defining it, made once."""
    if "morphable" not in INSTALLED:
        return scan_case()
    import numpy as np
    import torch

    import morphable

    model = morphable.load_model("open")
    faces = model.sample(2, torch.Generator().manual_seed(0))
    known = {"Path": Path, "np": np, "torch": torch, "morphable": morphable, "model": model, "faces": faces}
    known |= {"vertices_cam": model.vertices(faces), "albedo": model.decode_albedo(faces.albedo)}
    if "morphable_synth" in INSTALLED:
        from morphable_synth import GenerateConfig, SceneConfig, generate

        shards = tmp_path_factory.mktemp("examples") / "shards"
        scenes = SceneConfig(layout="single", size_px=128, min_face_px=48.0, max_face_px=96.0)
        generate(GenerateConfig(scenes=scenes, out=shards, count=2, workers=1), quiet=True)
        known["shards"] = shards
    if "morphable_train" in INSTALLED:
        from morphable_train import train

        after_example(train, known | {"folder": shards.parent})
        known["run"] = shards.parent / "run"
    if "morphable_reconstruct" in INSTALLED:
        from morphable_reconstruct import Reconstructor

        known["scene"] = Reconstructor("mobile")(ROOT / "examples" / "astronaut.jpg")
    return known | scan_case()


def scan_case() -> dict[str, object]:
    """`case` as the example of `ScanCase` makes it."""
    if "morphable_evalkit" not in INSTALLED:
        return {}
    from morphable_evalkit import ScanCase

    return {"case": after_example(ScanCase, {})["case"]}


def after_example(item, names: dict[str, object]) -> dict[str, object]:
    """The names that the example of a public name leaves behind."""
    names = vars(sys.modules[item.__module__]) | names
    exec(doctest.script_from_examples(item.__doc__), names)
    return names


@pytest.mark.parametrize("package", INSTALLED)
def test_public_names(package):
    public = importlib.import_module(package)
    assert sorted(public.__all__) == sorted(PUBLIC[package].split())
    assert all(hasattr(public, name) for name in public.__all__)
    assert not hasattr(public, "no_such_name")


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_public_name_has_an_example(package, name):
    item = getattr(importlib.import_module(package), name)
    assert name in CONSTANTS or ">>> " in str(item.__doc__)


@pytest.mark.parametrize("name", [name for package in INSTALLED for name in modules_with_examples(package)])
def test_examples_run(name, shared, tmp_path, monkeypatch):
    if name.startswith("morphable_reconstruct"):
        pytest.importorskip("av")
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=FLAGS, extraglobs=shared | {"folder": tmp_path})
    assert result.failed == 0
    assert result.attempted > 0


def test_there_are_not_too_many_public_names():
    assert len(NAMES) <= 130
