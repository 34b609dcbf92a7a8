"""Shards, resuming, the command line, the assets check."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from morphable_synth import GenerateConfig, SceneConfig, check_assets, generate, read_shard, render_scene, sample_scene
from morphable_synth.assets.catalog import read_texture, scan_assets, style_named
from morphable_synth.cli import main
from morphable_synth.datasets.preview import contact_sheet
from morphable_synth.datasets.provenance import code_version
from morphable_synth.rendering.labels import FACE_LABELS
from morphable_synth.scene.tones import skin_tone

WORK_AFTER_KILL_S = 20.0
"""Computing that a worker may still do when its run was killed: what it has at hand, not its queue."""
LONGEST_WAIT_S = 1800.0
"""Only ends a test that hangs; nothing is measured by it."""

TINY = SceneConfig(layout="single", size_px=64, camera_effects=False)


def _config(folder: Path, **changes: object) -> GenerateConfig:
    return GenerateConfig(**{"scenes": TINY, "out": folder, "count": 4, "shard_size": 2, "workers": 1, **changes})


def test_shard_holds_the_rendered_scene(tmp_path: Path):
    paths = generate(_config(tmp_path), quiet=True)
    stored = [scene for path in paths for scene in read_shard(path)]
    assert [scene.key for scene in stored] == [f"0000_{k:08d}" for k in range(4)]
    sample = render_scene(sample_scene(0, 3, TINY))
    for name in FACE_LABELS:
        np.testing.assert_array_equal(stored[3].labels[name], getattr(sample, name))
    np.testing.assert_array_equal(stored[3].part, sample.part)
    np.testing.assert_array_equal(stored[3].face_index, sample.face_index)
    np.testing.assert_array_equal(stored[3].skin_mask, sample.skin_mask)
    assert np.abs(stored[3].image.astype(int) - sample.image).mean() < 3  # JPEG


def test_missing_shards_are_made_to_the_same_bytes(tmp_path: Path):
    whole = [path.read_bytes() for path in generate(_config(tmp_path / "a"), quiet=True)]
    paths = generate(_config(tmp_path / "b"), quiet=True)
    paths[1].unlink()
    (tmp_path / "b" / "synth-0000-000001.77.tmp").write_bytes(b"torn")
    kept = paths[0].stat().st_mtime_ns
    again = generate(_config(tmp_path / "b"), quiet=True)
    assert [path.read_bytes() for path in again] == whole
    assert paths[0].stat().st_mtime_ns == kept


def test_a_longer_run_in_the_same_folder_fills_the_last_shard(tmp_path: Path):
    whole = [path.read_bytes() for path in generate(_config(tmp_path / "a"), quiet=True)]
    generate(_config(tmp_path / "b", count=3), quiet=True)
    assert [path.read_bytes() for path in generate(_config(tmp_path / "b"), quiet=True)] == whole
    assert [path.read_bytes() for path in generate(_config(tmp_path / "b", count=1), quiet=True)] == whole


def test_a_folder_of_before_depth_is_continued(tmp_path: Path):
    generate(_config(tmp_path, count=2), quiet=True)
    run = json.loads((tmp_path / "run.json").read_text())
    del run["settings"]["depth"]
    (tmp_path / "run.json").write_text(json.dumps(run))
    assert len(generate(_config(tmp_path), quiet=True)) == 2
    with pytest.raises(ValueError, match="other depth"):
        generate(_config(tmp_path, depth=True), quiet=True)


def test_depth_is_stored_to_the_millimetre_where_asked_for(tmp_path: Path):
    (path,) = generate(_config(tmp_path, count=1, depth=True), quiet=True)
    (stored,) = read_shard(path)
    sample = render_scene(sample_scene(0, 0, TINY))
    assert stored.depth_m is not None
    np.testing.assert_allclose(stored.depth_m, sample.depth_m, atol=6e-4)
    assert (stored.depth_m > 0).sum() > 100


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to see processes in")
def test_workers_of_a_killed_run_end_with_it(tmp_path: Path):
    scenes = ("--scenes.layout", "single", "--scenes.size-px", "64", "--count", "100000", "--shard-size", "10000")
    program = "import sys; from morphable_synth.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "generate", "--out", str(tmp_path), *scenes]
    with subprocess.Popen(command) as run:
        try:
            workers = wait_for(lambda: workers_of(run.pid), count=2, going=lambda: run.poll() is None)
            wait_for(lambda: [1 for _ in tmp_path.glob(".*.tar")], count=2, going=lambda: run.poll() is None)
        finally:
            run.kill()
    before_s = {pid: computed_s(pid) or 0.0 for pid in workers}

    def going() -> bool:  # a busy machine gives a worker no time to end, but no time to work on either
        return all((computed_s(pid) or 0.0) - before_s[pid] < WORK_AFTER_KILL_S for pid in workers)

    assert wait_for(lambda: [pid for pid in workers if computed_s(pid) is None], count=2, going=going)


KILLED_AFTER_THE_FIRST_SHARD = """
import os, signal, sys, threading, time
from pathlib import Path
from morphable_synth.cli import main

def kill():
    while not list(Path(sys.argv[3]).glob("synth-*.tar")):
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGKILL)

threading.Thread(target=kill, daemon=True).start()
sys.exit(main())
"""
"""The run kills itself, because another process may be late on a busy machine."""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL there")
def test_killed_run_goes_on_to_the_same_bytes(tmp_path: Path):
    scenes = ("--scenes.layout", "single", "--scenes.size-px", "64", "--scenes.no-camera-effects")
    numbers = ("--count", "20", "--shard-size", "2", "--workers", "1")
    command = [sys.executable, "-c", KILLED_AFTER_THE_FIRST_SHARD, "generate", "--out", str(tmp_path / "a")]
    assert subprocess.run([*command, *scenes, *numbers], check=False).returncode == -signal.SIGKILL
    assert 1 <= len(list((tmp_path / "a").glob("synth-*.tar"))) < 10
    again = [path.read_bytes() for path in generate(_config(tmp_path / "a", count=20), quiet=True)]
    assert again == [path.read_bytes() for path in generate(_config(tmp_path / "b", count=20), quiet=True)]
    records = [scene.key for path in sorted((tmp_path / "a").glob("synth-*.tar")) for scene in read_shard(path)]
    assert records == [f"0000_{k:08d}" for k in range(20)]


def wait_for(found: Callable[[], list[int]], *, count: int, going: Callable[[], bool]) -> list[int]:
    """Ask until there are so many, as long as they can still come."""
    end = time.monotonic() + LONGEST_WAIT_S
    while going() and time.monotonic() < end:
        if len(answer := found()) == count:
            return answer
        time.sleep(0.1)
    answer = found()
    assert len(answer) == count, f"{count} expected, got {answer}"
    return answer


def workers_of(pid: int) -> list[int]:
    """Return the processes that a process has started to work."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


def computed_s(pid: int) -> float | None:
    """Return how long a process has computed; None if it is gone or waiting to be buried."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if status[0] == "Z" else (int(status[11]) + int(status[12])) / os.sysconf("SC_CLK_TCK")


def test_other_settings_in_one_folder_are_refused(tmp_path: Path):
    generate(_config(tmp_path, count=1), quiet=True)
    with pytest.raises(ValueError, match="other seed; choose another folder"):
        generate(_config(tmp_path, seed=1), quiet=True)


def test_another_version_of_the_code_is_recorded_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    generate(_config(tmp_path, count=1, shard_size=1), quiet=True)
    generate(_config(tmp_path, count=1, shard_size=1), quiet=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("morphable_synth.datasets.shards.code_version", lambda: "9.9")
    generate(_config(tmp_path, count=1, shard_size=1), quiet=True)
    assert "are continued by 9.9" in capsys.readouterr().err
    assert json.loads((tmp_path / "run.json").read_text())["versions"] == [code_version(), "9.9"]


def test_data_set_says_what_it_is_made_of(tmp_path: Path):
    generate(_config(tmp_path, count=1), quiet=True)
    described = json.loads((tmp_path / "dataset.json").read_text())
    assert described["format_version"] == 1
    assert described["license"] == "CC0-1.0"
    assert described["sources"] == [{"name": "open face model and base mesh hm08", "license": "CC0-1.0"}]
    assert described["settings"]["scenes"]["size_px"] == 64
    # shards of other assets in the same folder add their sources
    described["sources"].insert(0, {"name": "skins", "license": "CC-BY"})
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    generate(_config(tmp_path, count=1), quiet=True)
    assert json.loads((tmp_path / "dataset.json").read_text())["license"] == "CC-BY; CC0-1.0"


@pytest.mark.slow
def test_number_of_workers_does_not_change_the_shards(tmp_path: Path):
    one = [path.read_bytes() for path in generate(_config(tmp_path / "a"), quiet=True)]
    two = [path.read_bytes() for path in generate(_config(tmp_path / "b", workers=2), quiet=True)]
    assert one == two


def test_preview_writes_a_sheet(tmp_path: Path):
    out = tmp_path / "sheet.png"
    arguments = [
        "preview",
        "--out",
        str(out),
        "--count",
        "2",
        "--columns",
        "2",
        "--labels",
        "--scenes.layout",
        "single",
    ]
    assert main([*arguments, "--scenes.size-px", "64"]) == 0
    assert out.exists()


def test_absent_and_empty_folders_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(FileNotFoundError, match="assets must be a folder"):
        check_assets(tmp_path / "absent")
    report = check_assets(tmp_path)
    assert not report.usable
    assert "skins_fine" in report.missing
    assert "backgrounds" in report.missing
    assert main(["check-assets", str(tmp_path)]) == 1
    arguments = [
        "preview",
        "--out",
        str(tmp_path / "x.png"),
        "--scenes.level",
        "makehuman",
        "--scenes.assets",
        str(tmp_path),
    ]
    assert main(arguments) == 1
    assert "check-assets" in capsys.readouterr().err


def test_broken_files_are_named(tmp_path: Path):
    folder = tmp_path / "backgrounds"
    folder.mkdir()
    (folder / "torn.jpg").write_bytes(b"not a picture")
    whole = io.BytesIO()
    Image.new("RGB", (64, 64)).save(whole, "PNG")
    (folder / "torn.png").write_bytes(whole.getvalue().replace(b"IDAT", b"ID\0\0"))
    report = check_assets(tmp_path)
    assert len(report.broken) == 2
    assert "torn.jpg" in report.broken[0]
    assert "torn.png must be a whole picture" in report.broken[1]


def test_sheets_need_a_positive_number_of_scenes_and_columns():
    with pytest.raises(ValueError, match="columns must be at least 1, got 0"):
        contact_sheet(TINY, seed=0, count=1, columns=0)


def test_broken_and_missing_assets_are_named_before_anything_is_drawn(assets: Path, tmp_path: Path):
    folder = tmp_path / "assets"
    (folder / "backgrounds").mkdir(parents=True)
    for name in ("makehuman", "hdri"):
        (folder / name).symlink_to(assets / name)
    scenes = SceneConfig(level="makehuman", assets=folder, layout="single", size_px=64)
    with pytest.raises(ValueError, match="no backgrounds"):
        generate(_config(tmp_path / "out", scenes=scenes), quiet=True)
    (folder / "backgrounds" / "torn.jpg").write_bytes(next((assets / "backgrounds").glob("*.jpg")).read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"torn\.jpg"):
        generate(_config(tmp_path / "out", scenes=scenes), quiet=True)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=r"torn\.jpg must be a whole picture"):
        read_texture(folder / "backgrounds" / "torn.jpg")


def test_black_light_is_broken(tmp_path: Path):
    (tmp_path / "hdri").mkdir()
    black = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 8 +X 16\n" + bytes(8 * 16 * 4)
    (tmp_path / "hdri" / "night.hdr").write_bytes(black)
    (fault,) = check_assets(tmp_path).broken
    assert "night.hdr must be finite and not all black" in fault


def test_unknown_style_is_named(assets: Path):
    with pytest.raises(ValueError, match="got 'mohawk'"):
        style_named(scan_assets(assets).hair, "mohawk")


def test_traits_vary_evenly(assets: Path):
    """Each age has a fifth of the skins at least, each sex two fifths, each third of the tones a quarter."""
    config = SceneConfig(level="makehuman", assets=assets, layout="single", size_px=64)
    skins = [sample_scene(6, k, config).people[0].skin for k in range(300)]
    named = [skin.base for skin in skins if skin.base]
    for age in ("young", "middleage", "old"):
        assert np.mean([name.startswith(age) for name in named]) > 0.2
    assert 0.4 < np.mean(["female" in name for name in named]) < 0.6
    luminance = np.array([skin.tone for skin in skins]).mean(1)
    edges = [0.0, *(skin_tone(share, 0.0).mean() for share in (2 / 3, 1 / 3)), 1.0]
    assert (np.histogram(luminance, edges)[0] > 75).all()


def test_scenes_with_real_assets_have_labels(assets: Path):
    config = SceneConfig(
        level="makehuman", assets=assets, layout="single", size_px=96, min_visible=0.0, occluders=False
    )
    sample = render_scene(sample_scene(3, 0, config))
    assert len(sample.identity) == 1
    assert sample.skin_mask.sum() > 100
    assert not sample.albedo_valid.any() or sample.albedo.any()
