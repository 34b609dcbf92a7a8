"""The examples run, each in a process of its own, and leave what they promise."""

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
ASTRONAUT = EXAMPLES / "astronaut.jpg"


def run(name: str, *arguments: object) -> str:
    """Run an example and return what it prints."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_listed():
    listed = (EXAMPLES / "README.md").read_text()
    examples = [path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")]
    assert len(examples) >= 6
    assert [name for name in examples if f"[{name}]({name})" not in listed] == []


def test_a_photograph_becomes_a_textured_glb(tmp_path):
    printed = run("textured_glb.py", ASTRONAUT, tmp_path / "a.glb")
    assert printed.startswith("Scene('astronaut.jpg', 512x512, ")
    content = (tmp_path / "a.glb").read_bytes()
    header = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
    assert content[:4] == b"glTF"
    assert len(header["images"]) == len(header["textures"]) == len(printed.splitlines()) - 1 > 0
    assert "jawOpen" in header["meshes"][0]["extras"]["targetNames"]


def test_a_video_becomes_a_table_of_expressions(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "clip.mp4"), "w") as video, Image.open(ASTRONAUT) as picture:
        stream = video.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 256
        for shift in range(3):
            frame = picture.rotate(shift, translate=(2 * shift, 0)).resize((256, 256))
            video.mux(stream.encode(av.VideoFrame.from_image(frame)))
        video.mux(stream.encode())
    run("blendshapes_csv.py", tmp_path / "clip.mp4", tmp_path / "clip.csv")
    with (tmp_path / "clip.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted({row["time_s"] for row in rows}) == ["0.000", "0.100", "0.200"]
    assert 3 in Counter(row["track_id"] for row in rows).values()  # one person throughout
    assert all(-0.01 <= float(row["jawOpen"]) <= 1.01 for row in rows)


def test_errors_of_own_predictions_are_measured(tmp_path):
    # Every point is off by (3, 4): 5 px. The box of the true points is 100 px wide and high, so the error is 5 %.
    truth = np.stack(np.meshgrid(np.linspace(50, 150, 17), np.linspace(50, 150, 4)), axis=-1).reshape(68, 2)
    Image.new("RGB", (200, 200)).save(tmp_path / "a.jpg")
    (tmp_path / "landmarks68.json").write_text(json.dumps({"a.jpg": {"landmarks68_px": truth.tolist()}}))
    face = {"landmarks68_contour_px": (truth + [3, 4]).tolist()}
    pictures = {"images": [{"image": "a.jpg", "size_hw": [200, 200], "faces": [face]}]}
    (tmp_path / "predictions.json").write_text(json.dumps(pictures))
    assert "5.00" in run("evaluate.py", tmp_path)
    assert (tmp_path / "results.json").is_file()


def test_a_network_is_trained_packaged_and_used(tmp_path):
    printed = run("train.py", tmp_path, 8, 2)
    assert "Scene('astronaut.jpg', 512x512" in printed
    assert (tmp_path / "tiny.md").read_text().startswith("# tiny")


def test_the_notebook_runs():
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    notebook.cells[-1].source = notebook.cells[-1].source.replace('.save("astronaut.glb")', "")
    path = {"metadata": {"path": str(EXAMPLES)}}
    nbclient.NotebookClient(notebook, timeout=600, startup_timeout=600, resources=path).execute()
    shown = [output.data for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert any("<table>" in data.get("text/html", "") for data in shown)
    assert any("image/png" in data for data in shown)


def test_onnx_runtime_alone_gives_the_same_points(tmp_path):
    """The graph of the bundled weights with the face model, in a process that imports nothing of this project."""
    from morphable_detector_head.cli import main
    from morphable_reconstruct import Reconstructor

    assert main(["export", "mobile", "--model", "open", "-o", str(tmp_path / "mobile.onnx")]) == 0
    code = (EXAMPLES / "onnx_runtime.py").read_text()
    assert "import morphable" not in code
    assert "from morphable" not in code
    printed = run("onnx_runtime.py", tmp_path / "mobile.onnx", ASTRONAUT, tmp_path / "faces.obj")
    scene = Reconstructor("mobile")(ASTRONAUT)
    assert len(printed.splitlines()) == len(scene)
    nose = [float(word) for word in printed.splitlines()[0].split("[")[1].split("]")[0].split()]
    box = scene[0].box_xyxy_px
    # The example enlarges the photograph and has another resampling: within 2 % of the face.
    assert np.abs(nose - scene[0].landmarks68_px[30]).max() < 0.02 * (box[2] - box[0])
    lines = (tmp_path / "faces.obj").read_text().splitlines()
    assert sum(line.startswith("v ") for line in lines) == len(scene) * 17355
    assert sum(line.startswith("f ") for line in lines) == len(scene) * 34320
