import os
import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def test_the_quickstart_runs_and_is_the_readmes_code():
    code = (PACKAGE / "examples" / "quickstart.py").read_text()
    block, shown = re.findall(r"```(?:python|text)\n(.*?)```", (PACKAGE / "README.md").read_text(), re.DOTALL)[:2]
    assert block.strip() == code.split('"""', 2)[2].strip()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(PACKAGE / "examples" / "quickstart.py")]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert result.stdout == shown
