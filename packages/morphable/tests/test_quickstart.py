"""The README's code runs, and is the README's code."""

import runpy
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def test_quickstart_runs(capsys):
    runpy.run_path(str(PACKAGE / "examples/quickstart.py"))
    printed = capsys.readouterr().out
    assert "vertices (8, 17355, 3)" in printed
    *lines, rounding = printed.strip().splitlines()
    readme = (PACKAGE / "README.md").read_text()
    assert "\n".join(lines) in readme
    assert rounding.split()[:2] == ["mirrored", "to"]  # how far depends on the processor
    assert float(rounding.split()[2]) < 1e-6


def test_readme_shows_the_quickstart():
    code = (PACKAGE / "examples/quickstart.py").read_text().split('"""\n', 1)[1].strip()
    assert code in (PACKAGE / "README.md").read_text()
