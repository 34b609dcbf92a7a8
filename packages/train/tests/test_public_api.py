import subprocess
import sys

import morphable_train

NAMES = [
    "PRESETS",
    "AugmentConfig",
    "DataConfig",
    "DatasetInfo",
    "DatasetSource",
    "DivergedError",
    "FaceLabels",
    "LossConfig",
    "OptimizerConfig",
    "PackageOptions",
    "PrepareConfig",
    "PrepareResult",
    "Record",
    "RunConfig",
    "RunResults",
    "ShardReader",
    "ShardWriter",
    "TrainConfig",
    "ValidationConfig",
    "open_source",
    "package",
    "prepare",
    "preset",
    "read_config",
    "read_info",
    "record_from_sample",
    "train",
    "weak_labels",
    "write_info",
]


def test_the_public_names_are_these():
    assert sorted(morphable_train.__all__) == sorted(NAMES)
    assert all(hasattr(morphable_train, name) for name in NAMES)


def test_importing_loads_no_optional_package():
    code = (
        "import sys, morphable_train; print([m for m in ('av', 'onnxruntime', 'face_alignment') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
