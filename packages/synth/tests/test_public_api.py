"""The public names, and that importing has no side effects."""

import subprocess
import sys
from pathlib import Path


def test_readme_code_is_the_quickstart_and_runs():
    root = Path(__file__).parents[1]
    code = (root / "examples/quickstart.py").read_text()
    body = code.split('"""\n\n', 1)[1]
    readme = (root / "README.md").read_text()
    assert body in readme
    done = subprocess.run(
        [sys.executable, "examples/quickstart.py"], cwd=root, capture_output=True, text=True, check=True
    )
    assert "image (256, 256, 3) uint8" in done.stdout
    assert done.stdout.strip() in readme
