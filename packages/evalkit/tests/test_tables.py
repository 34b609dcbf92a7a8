import json

import numpy as np
import pytest

from morphable_evalkit.reports.results import ItemResult, Result, face_numbers, read_results, write_results
from morphable_evalkit.reports.tables import Table, percent, to_csv, to_json, to_latex, to_markdown, to_text

TABLE = Table(
    "NME (%)", ("system", "0-30 (n=2)", "<5 %"), (("a_b", "1.00", "50.0"), ("c|d, e", "12.34", "-")), ("note",)
)


def test_text_aligns_columns():
    assert to_text(TABLE).splitlines() == [
        "NME (%)",
        "system  0-30 (n=2)  <5 %",
        "------------------------",
        "a_b           1.00  50.0",
        "c|d, e       12.34     -",
        "  note",
    ]


def test_markdown_latex_csv_json_escape_what_they_must():
    assert "| c\\|d, e | 12.34 | - |" in to_markdown(TABLE)
    latex = to_latex(TABLE)
    assert r"a\_b & 1.00 & 50.0 \\" in latex
    assert r"$<$5 \% \\" in latex
    assert latex.startswith("% NME (%)")
    assert '"c|d, e",12.34,-' in to_csv(TABLE)
    assert json.loads(to_json(TABLE))["rows"][0] == {"system": "a_b", "0-30 (n=2)": "1.00", "<5 %": "50.0"}


def test_percent_and_row_length():
    assert percent(0.03381, 3) == "3.381"
    assert percent(float("nan")) == "-"
    with pytest.raises(ValueError, match="must have 2 cells, got 1"):
        Table("t", ("a", "b"), (("x",),))


def _result() -> Result:
    items = (
        ItemResult(image="a.jpg", face=0, error=0.03, group="0-30"),
        ItemResult(image="b.jpg", face=0, error=float("nan")),
    )
    return Result(
        command="nme", system="s", protocol={"points": "68"}, unit="fraction", summary={"mean": 0.03}, items=items
    )


def test_results_survive_the_file_and_nan_becomes_null(tmp_path):
    write_results(tmp_path / "r.json", [_result()])
    assert "NaN" not in (tmp_path / "r.json").read_text()
    (again,) = read_results(tmp_path / "r.json")
    assert again.items[0] == _result().items[0]
    assert np.isnan(again.items[1].error)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "r.json"
    with pytest.raises(FileNotFoundError, match="written by --json"):
        read_results(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="must be JSON"):
        read_results(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match="another kind of JSON"):
        read_results(path)
    write_results(path, [_result()])
    path.write_text(path.read_text().replace('"unit"', '"units"'))
    with pytest.raises(ValueError, match="must follow the result format"):
        read_results(path)
    path.write_text(path.read_text().replace('"version": 1', '"version": 9'))
    with pytest.raises(ValueError, match="must be 1, got 9"):
        read_results(path)


def test_faces_are_numbered_within_their_picture():
    assert face_numbers(["a", "b", "a", "a"]) == [0, 0, 1, 2]
