import subprocess
import sys

import morphable_evalkit


def test_public_names_change_only_on_purpose():
    assert sorted(morphable_evalkit.__all__) == [
        "FORMAT_VERSION",
        "Predictions",
        "Problem",
        "check_predictions",
        "read_predictions",
        "write_predictions",
    ]


def test_import_needs_neither_torch_nor_plots():
    code = (
        "import sys, morphable_evalkit\nprint([name for name in ('torch', 'matplotlib', 'PIL') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
