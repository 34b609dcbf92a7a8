"""The command itself: version, exit statuses, `python -m`."""

import os
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest

from morphable_evalkit import Predictions, write_predictions
from morphable_evalkit.cli import main


def test_the_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"evalkit {version('morphable-evalkit')}\n"


def test_python_m_is_the_command():
    out = subprocess.run(
        [sys.executable, "-m", "morphable_evalkit", "--version"], capture_output=True, text=True, check=True
    )
    assert out.stdout == f"evalkit {version('morphable-evalkit')}\n"


@pytest.mark.parametrize("argv", [[], ["no-such-command"], ["nme", "--no-such-option"], ["check"]])
def test_wrong_usage_ends_with_status_2(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2


def test_an_option_out_of_range_is_wrong_usage(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--resamples", "5"])
    assert stopped.value.code == 2
    assert "resamples must be at least 100" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["nme", "faces"])
def test_status_1_when_every_face_was_missed(tmp_path, capsys, command):
    points = np.random.default_rng(0).uniform(100, 200, (1, 68, 2))
    write_predictions(tmp_path / "truth.npz", Predictions.from_points({"a.jpg": points}, (480, 640)))
    write_predictions(tmp_path / "mine.npz", Predictions.from_points({"a.jpg": points[:0]}, (480, 640)))
    argv = ["--preds", str(tmp_path / "mine.npz"), "--dataset", "truth", "--root", str(tmp_path / "truth.npz")]
    assert main([command, *argv]) == 1
    captured = capsys.readouterr()
    assert "mine" in captured.out  # the table is printed nevertheless
    assert (
        captured.err
        == "evalkit: preds must give at least one number, got a failure for every face or scan of mine (1)\n"
    )


@pytest.mark.parametrize("option", ["json", "csv", "per-image", "plot", "worst"])
def test_results_that_cannot_be_written_are_found_before_the_work(tmp_path, capsys, option):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    argv = ["nme", "--preds", str(tmp_path / "none.npz"), "--dataset", "truth", "--root", str(tmp_path / "none.npz")]
    for target in ("folder.png", "file/a.png"):
        with pytest.raises(SystemExit) as stopped:
            main([*argv, f"--{option}", str(tmp_path / target)])
        assert stopped.value.code == 2
        assert "results must go to a f" in " ".join(capsys.readouterr().err.split())


def test_names_that_are_not_utf8_are_printed_and_written(tmp_path):
    points = np.random.default_rng(0).uniform(100, 200, (1, 68, 2))
    write_predictions(tmp_path / "truth.npz", Predictions.from_points({"a.jpg": points}, (480, 640)))
    mine = tmp_path / os.fsdecode(b"mine\xff.npz")
    write_predictions(mine, Predictions.from_points({"a.jpg": points}, (480, 640)))
    argv = ["nme", "--preds", mine, "--dataset", "truth", "--root", tmp_path / "truth.npz", "--csv", tmp_path / "a.csv"]
    done = subprocess.run(
        [sys.executable, "-m", "morphable_evalkit", *map(str, argv)], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"mine\\udcff" in done.stdout
    assert "mine\\udcff" in (tmp_path / "a.csv").read_text()
