import subprocess
import sys


def test_import_does_not_need_the_optional_backend():
    code = "import sys, morphable_render; print('pytorch3d' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
