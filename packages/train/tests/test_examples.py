import os
import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def test_the_quickstart_runs_and_is_the_readmes_code():
    code = (PACKAGE / "examples" / "quickstart.py").read_text()
    blocks = re.findall(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.DOTALL)
    assert blocks[0].strip() in code
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(PACKAGE / "examples" / "quickstart.py")]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert "run.json" in result.stdout
    assert "# tiny" in result.stdout
