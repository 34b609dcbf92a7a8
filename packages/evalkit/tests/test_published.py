import pytest

from morphable_evalkit.reports.published import beside_own, paper_names, read_published
from morphable_evalkit.reports.results import Result


def _rows(paper: str, table: str) -> dict[str, tuple[str, ...]]:
    (found,) = [t for t in read_published(paper) if t.name == table]
    return {row[0]: row[1:] for row in found.rows}


def test_the_papers_own_rows():
    assert _rows("wm3dr", "Table I")["WM3DR"] == ("2.60", "3.48", "4.78", "3.62")
    assert len(_rows("wm3dr", "Table I")) == 11
    aflw2000 = _rows("mobile-frnet", "comparison, AFLW2000-3D")
    assert aflw2000["Mobile-FRNet"] == ("2.930", "3.799", "4.768", "3.832", "0.751")
    assert _rows("df-mvr", "Table 1, Pixel-Face with 3D labels")["DF-MVR"] == ("1.4040",)


@pytest.mark.parametrize("paper", paper_names())
def test_every_table_has_a_source_and_full_rows(paper):
    for table in read_published(paper):
        assert table.source
        assert table.protocol
        assert all(len(row) == len(table.columns) + 1 for row in table.rows)
        for row in table.rows:
            assert all(cell == "-" or float(cell) > 0 for cell in row[1:])


@pytest.mark.parametrize("paper", ["wm3dr", "mobile-frnet"])
def test_printed_means_are_the_means_of_the_printed_bins(paper):
    # guards against slips of the pen: bins are rounded to 0.01 (some are padded with a zero), so means agree to that
    for table in read_published(paper):
        if table.command != "nme":
            continue
        for name, *cells in table.rows:
            if "-" not in cells[:4] and name != "SDM":  # the paper itself prints 9.67 for 9.76
                assert float(cells[3]) == pytest.approx(sum(map(float, cells[:3])) / 3, abs=0.012), name


def _own(**protocol) -> Result:
    summary = {"bins": [{"mean": 0.025}, {"mean": 0.03}, {"mean": 0.041}], "balanced_mean": 0.032}
    return Result(command="nme", system="mine", protocol=protocol, unit="fraction", summary=summary, items=())


def test_own_results_stand_below_with_their_protocol():
    table = read_published("wm3dr")[0]
    own = _own(**{"data set": "AFLW2000-3D, original labels", "input": "whole pictures"})
    out = beside_own(table, [own])
    assert out.rows[-1] == ("mine (own)", "2.50", "3.00", "4.10", "3.20")
    assert "whole pictures" in out.notes[-1]


def test_results_that_measure_something_else_are_left_out():
    table = read_published("wm3dr")[0]
    assert len(beside_own(table, [_own(**{"data set": "helen"})]).rows) == 11
    assert len(beside_own(read_published("wm3dr")[1], [_own(**{"data set": "AFLW2000-3D"})]).rows) == 2


def test_numbers_that_a_result_lacks_are_dashes():
    partial = Result(
        command="nme",
        system="mine",
        protocol={"data set": "AFLW2000-3D"},
        unit="fraction",
        summary={"bins": []},
        items=(),
    )
    assert beside_own(read_published("wm3dr")[0], [partial]).rows[-1] == ("mine (own)", "-", "-", "-", "-")
