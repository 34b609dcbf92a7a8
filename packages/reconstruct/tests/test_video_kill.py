"""A video run that is killed leaves no half file, and a rerun completes to the same bytes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from videos import add_sound, moving, write_video

av = pytest.importorskip("av")
DRIVER = """
import json, os, random, signal, sys, threading
sys.path.insert(0, sys.argv[1])
from stand_ins import DotDetector, toy_model
from pathlib import Path
from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.commands.reconstruct import run
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor

class KilledDots(DotDetector):
    def __init__(self, last, delay_s):
        super().__init__()
        self.last, self.delay_s = last, delay_s

    def detect(self, images, **options):
        found = super().detect(images, **options)
        if self.calls == self.last:  # decoding, drawing and writing go on in their threads until the signal comes
            threading.Timer(self.delay_s, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return found

model = toy_model()

def status(out, last=-1, delay_s=0.0):
    pid = os.fork()  # every run is a process of its own, without the seconds of its imports
    if pid == 0:
        settings = ReconstructConfig(min_score=0.4, size_px=128, batch_size=4)
        config = RunConfig(sources=(sys.argv[2],), out=Path(out), save="overlay,csv,json")
        os._exit(run(config, Reconstructor(KilledDots(last, delay_s), model, config=settings)))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def results(out):
    return {path.name: path.read_bytes().hex() for path in Path(out).glob("clip*")}

whole, out = sys.argv[3:5]
statuses, moments, seen = [status(whole)], random.Random(0), []
for _ in range(int(sys.argv[5])):
    statuses.append(status(out, moments.randint(1, 15), moments.uniform(0.0, 0.2)))
    seen.append(results(out))
statuses.append(status(out))
print(json.dumps({"statuses": statuses, "whole": results(whole), "seen": seen, "again": results(out)}))
"""
RESULTS = {"clip.overlay.mp4", "clip.csv", "clip.jsonl"}
KILLS = 5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL there")
def test_a_killed_run_leaves_no_half_file_and_a_rerun_gives_the_same_bytes(tmp_path):
    clip = add_sound(write_video(tmp_path / "silent.mkv", moving(60)), tmp_path / "clip.mkv", seconds=2.4)
    places = [str(path) for path in (Path(__file__).parent, clip, tmp_path / "whole", tmp_path / "out")]
    ended = subprocess.run([sys.executable, "-c", DRIVER, *places, str(KILLS)], stdout=subprocess.PIPE, check=True)
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["statuses"][0] == found["statuses"][-1] == 0
    assert found["statuses"].count(-9) >= KILLS // 2
    assert set(found["whole"]) == RESULTS
    for files in found["seen"]:  # whole or absent
        assert all(found["whole"][name] == data for name, data in files.items())
    assert found["again"] == found["whole"]
    with av.open(str(tmp_path / "out" / "clip.overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 60
