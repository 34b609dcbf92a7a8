"""The installed commands, and what installing pulls in."""

import dataclasses
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import requires
from pathlib import Path

import pytest
from PIL import Image
from stand_ins import dotted, random_detector

from morphable import WeightsInfo, reference_to, write_weights

COMMAND = [sys.executable, "-c", "from morphable_reconstruct.commands.entry import main; raise SystemExit(main())"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights, their model, and a picture."""
    from stand_ins import toy_model

    folder = tmp_path_factory.mktemp("files")
    model, detector = toy_model(), random_detector()
    model.save(folder / "model.safetensors")
    info = WeightsInfo(
        name="untrained",
        architecture=dataclasses.asdict(detector.config),
        model=reference_to(model),
        license="CC0-1.0",
        training_data="none",
    )
    write_weights(folder / "weights.safetensors", info, detector.state_dict())
    Image.fromarray(dotted((200, 256), [(100, 80)])).save(folder / "a.png")
    return folder


def options(folder: Path) -> list[str]:
    return ["--weights", str(folder / "weights.safetensors"), "--model", str(folder / "model.safetensors")]


def test_a_plain_install_pulls_nothing_heavy():
    plain = [re.match(r"[\w-]+", text)[0] for text in requires("morphable-reconstruct") if "extra ==" not in text]
    assert not {"ray", "viser", "fastapi", "lightning", "face-alignment", "av", "openvino", "onnxscript"} & set(plain)


@pytest.mark.slow
def test_the_command_reconstructs_a_picture(files, tmp_path):
    arguments = [
        str(files / "a.png"),
        "--out",
        str(tmp_path),
        "--size-px",
        "256",
        "--min-score",
        "0.6",
        "--debug-cells",
    ]
    done = subprocess.run([*COMMAND, *arguments, *options(files)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d+ faces? in 1 source;", done.stdout)
    assert {path.name for path in tmp_path.iterdir()} >= {"a.json", "a.overlay.jpg", "a.cells.png"}


@pytest.mark.slow
def test_the_service_stops_gracefully(files):
    pytest.importorskip("uvicorn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([*COMMAND, "serve", "--port", str(port), *options(files)], stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                health = json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}/health").read())
                break
            except OSError:
                time.sleep(0.2)
        assert health["alive"]
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/reconstruct", data=(files / "a.png").read_bytes(), method="POST"
        )
        assert "faces" in json.loads(urllib.request.urlopen(request).read())
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) in (0, -signal.SIGTERM)
    finally:
        server.kill()
        server.communicate()
