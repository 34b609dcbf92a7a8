"""The public names and the README's code."""

import runpy
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def test_quickstart_is_the_readme_and_prints_what_it_says(capsys):
    source = (PACKAGE / "examples/quickstart.py").read_text()
    readme = (PACKAGE / "README.md").read_text()
    assert source.split('"""', 2)[2].strip() in readme
    runpy.run_path(str(PACKAGE / "examples/quickstart.py"))
    assert capsys.readouterr().out.strip() in readme
