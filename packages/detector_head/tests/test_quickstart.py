import runpy
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]


def test_readme_shows_the_example_and_what_it_prints(capsys: pytest.CaptureFixture[str]):
    readme = (PACKAGE / "README.md").read_text()
    example = (PACKAGE / "examples/quickstart.py").read_text()
    runpy.run_path(str(PACKAGE / "examples/quickstart.py"))
    assert example.strip() in readme
    assert capsys.readouterr().out.strip() in readme
