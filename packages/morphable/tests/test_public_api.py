"""What users may rely on."""

import morphable


def test_public_names():
    assert morphable.__all__ == [
        "IBUG68_FLIP",
        "FaceParameters",
        "Fit",
        "InferenceDefaults",
        "ModelData",
        "ModelReference",
        "MorphableModel",
        "PointModel",
        "SparseRows",
        "SurfacePoints",
        "WeightsInfo",
        "check_model",
        "derive_landmarks",
        "fit_landmarks",
        "fit_surface",
        "load_model",
        "model_sha256",
        "read_weights",
        "read_weights_info",
        "reference_to",
        "write_weights",
    ]
    assert all(hasattr(morphable, name) for name in morphable.__all__)


def test_importers_are_public():
    from morphable import importers

    assert importers.__all__ == ["import_3ddfa", "import_bfm", "import_bfm09", "import_flame", "import_ict"]
