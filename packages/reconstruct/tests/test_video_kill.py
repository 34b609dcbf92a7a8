"""A video run that is killed leaves no half file, and a rerun completes to the same bytes."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
from videos import add_sound, moving, write_video

RUN = """
import sys, time
sys.path.insert(0, sys.argv[1])
from stand_ins import DotEngine, toy_model
from pathlib import Path
from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.commands.reconstruct import run
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor

class SlowDots(DotEngine):
    def __call__(self, images, **options):
        time.sleep(0.3)
        return super().__call__(images, **options)

settings = ReconstructConfig(min_score=0.4, size_px=128, batch_size=4)
config = RunConfig(sources=(sys.argv[2],), out=Path(sys.argv[3]), save="overlay,csv,json")
print("ready", flush=True)
sys.exit(run(config, Reconstructor(SlowDots(), toy_model(), config=settings)))
"""
RESULTS = ("clip.overlay.mp4", "clip.csv", "clip.jsonl")


def start(clip, out):
    """Start a run; return it once its modules are loaded."""
    command = [sys.executable, "-c", RUN, str(Path(__file__).parent), str(clip), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL there")
def test_a_killed_run_leaves_no_half_file_and_a_rerun_gives_the_same_bytes(tmp_path):
    clip = add_sound(write_video(tmp_path / "silent.mkv", moving(60)), tmp_path / "clip.mkv", seconds=2.4)
    whole = start(clip, tmp_path / "whole")
    began = time.monotonic()
    assert whole.wait(120) == 0
    length_s = time.monotonic() - began
    expected = {name: (tmp_path / "whole" / name).read_bytes() for name in RESULTS}
    moments = random.Random(0)
    out, killed = tmp_path / "out", 0
    for _ in range(6):
        process = start(clip, out)
        time.sleep(moments.uniform(0.0, length_s))
        process.send_signal(signal.SIGKILL)
        killed += process.wait(60) == -signal.SIGKILL
        for name in RESULTS:
            if (out / name).exists():
                assert (out / name).read_bytes() == expected[name]
    assert killed >= 3
    assert start(clip, out).wait(120) == 0
    assert {name: (out / name).read_bytes() for name in RESULTS} == expected
    with av.open(str(out / "clip.overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 60
