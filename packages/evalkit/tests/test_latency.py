import json

import numpy as np
import pytest

from morphable_evalkit.measures.latency import crossover, line_through, quartiles, read_timings


def _write(path, **changes):
    entry = {"system": "one pass", "device": "cpu", "samples_ms": {"1": [20, 22, 21], "10": [25, 24, 26]}}
    path.write_text(json.dumps({"format": "evalkit-timing", "version": 1, "timings": [entry | changes]}))
    return path


def test_json_and_csv_give_the_same_medians(tmp_path):
    (timing,) = read_timings(_write(tmp_path / "t.json"))
    assert timing.medians() == {1: 21.0, 10: 25.0}
    lines = ["system,device,faces,ms"] + [f"one pass,cpu,{n},{ms}" for n, ms in ((10, 25), (1, 20), (1, 22), (1, 21))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    (again,) = read_timings(tmp_path / "t.csv")
    assert again.medians() == {1: 21.0, 10: 25.0}
    assert again.device == "cpu"


def test_the_line_is_fixed_time_plus_time_per_face():
    fixed, per_face = line_through({1: 17.4, 5: 27.0, 10: 39.0})
    assert (fixed, per_face) == (pytest.approx(15.0), pytest.approx(2.4))
    assert np.isnan(line_through({1: 20.0})[0])


def test_crossover_lies_where_the_lines_meet():
    constant, growing = {1: 30.0, 20: 30.0}, {1: 17.0, 20: 55.0}  # 15 + 2 n: equal at n = 7.5
    assert crossover(constant, growing) == pytest.approx(7.5)
    assert crossover(growing, constant) is None
    assert crossover({1: 10.0, 5: 10.0}, {1: 20.0, 5: 20.0}) == 1.0
    assert crossover({1: 10.0, 2: 10.0}, {5: 20.0, 6: 20.0}) is None  # no common range


def test_quartiles_by_hand():
    assert quartiles(np.array([1.0, 2, 3, 4, 5])) == (2.0, 4.0)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="timings must be a JSON or CSV"):
        read_timings(tmp_path / "none.json")
    (tmp_path / "a.json").write_text('{"format": "x"}')
    with pytest.raises(ValueError, match="must have format 'evalkit-timing'"):
        read_timings(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match="must follow the timing format"):
        read_timings(tmp_path / "a.json")
    with pytest.raises(ValueError, match="for 1 faces must be positive"):
        read_timings(_write(tmp_path / "t.json", samples_ms={"1": [0.0]}))
    (tmp_path / "a.csv").write_text("name,ms\nx,1\n")
    with pytest.raises(ValueError, match="must follow the timing format"):
        read_timings(tmp_path / "a.csv")
