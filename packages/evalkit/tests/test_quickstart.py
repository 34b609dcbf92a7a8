import runpy
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def test_quickstart_runs_and_is_the_readmes_code(capsys):
    path = PACKAGE / "examples" / "quickstart.py"
    runpy.run_path(str(path))
    printed = capsys.readouterr().out
    readme = (PACKAGE / "README.md").read_text()
    code = path.read_text().split('"""', 2)[2].strip()
    assert code in readme
    assert printed.strip() in readme
