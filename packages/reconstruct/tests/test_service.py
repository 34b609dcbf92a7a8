"""The HTTP service: answers, limits with their own status, batching, graceful stop."""

import io
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stand_ins import DotDetector, dotted

from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.service.options import ServeConfig

fastapi = pytest.importorskip("fastapi")
httpx2 = pytest.importorskip("httpx2")
from fastapi.testclient import TestClient  # noqa: E402

from morphable_reconstruct.service import _app  # noqa: E402
from morphable_reconstruct.service._app import create_app  # noqa: E402
from morphable_reconstruct.service.answers import SceneAnswer  # noqa: E402

PATIENT_S = 300.0
"""A busy machine may take long to compile the first answer."""


class SlowDetector(DotDetector):
    """Waits for a permission before each forward pass."""

    def __init__(self):
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.batches = []

    def detect(self, images, *, top_k, min_score):
        self.gate.wait(20)
        self.batches.append(len(images))
        return super().detect(images, top_k=top_k, min_score=min_score)


@pytest.fixture
def engine():
    return SlowDetector()


def client(engine, model, **limits):
    settings = ReconstructConfig(min_score=0.4, size_px=256, max_pixels=100_000, batch_size=4)
    reconstructor = Reconstructor(engine, model, config=settings)
    limits = {"timeout_s": PATIENT_S} | limits
    return TestClient(create_app(reconstructor, ServeConfig(reconstruct=settings, **limits)))


def png(dots=((60, 60),), size_hw=(200, 256)):
    stream = io.BytesIO()
    Image.fromarray(dotted(size_hw, list(dots), dot_px=16)).save(stream, "PNG")
    return stream.getvalue()


def test_json_glb_and_forms(engine, model):
    with client(engine, model) as http:
        raw = http.post("/reconstruct", content=png())
        assert raw.status_code == 200
        assert len(raw.json()["faces"]) == 1
        assert raw.json()["camera"]["focal_px"] == pytest.approx(1015)
        form = http.post("/reconstruct", files={"image": ("me.png", png(), "image/png")})
        assert form.json()["image"] == "me.png"
        np.testing.assert_allclose(form.json()["faces"][0]["landmarks68_px"], raw.json()["faces"][0]["landmarks68_px"])
        glb = http.post("/reconstruct?format=glb&texture=none", content=png())
        assert glb.headers["content-type"] == "model/gltf-binary"
        assert glb.content[:4] == b"glTF"
        assert http.post("/reconstruct", content=png(dots=())).json()["faces"] == []


def test_every_format_and_the_types_of_the_json(engine, model):
    with client(engine, model) as http:
        SceneAnswer.model_validate(http.post("/reconstruct", content=png()).json())
        SceneAnswer.model_validate(http.post("/reconstruct", content=png(dots=())).json())
        overlay = http.post("/reconstruct?format=overlay", content=png())
        assert overlay.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(overlay.content)).size == (256, 200)
        arrays = np.load(io.BytesIO(http.post("/reconstruct?format=npz", content=png()).content), allow_pickle=False)
        assert arrays["landmarks68_px"].shape == (1, 68, 2)
        crop = http.post("/reconstruct?format=crop", content=png())
        assert crop.headers["content-type"] == "image/png"
        Image.open(io.BytesIO(crop.content)).load()
        missing = http.post("/reconstruct?format=crop&face=1", content=png())
        assert (missing.status_code, "got 1 with 1 faces" in missing.json()["detail"]) == (404, True)
        empty = http.post("/reconstruct?format=glb", content=png(dots=()))
        assert empty.content[:4] == b"glTF"


def test_forms_are_forms_in_any_case(engine, model):
    with client(engine, model) as http:
        boundary = "AbC"
        body = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'.encode()
        body += png() + f"\r\n--{boundary}--\r\n".encode()
        for kind in ("Multipart/Form-Data", "MULTIPART/FORM-DATA", "multipart/form-data"):
            answer = http.post("/reconstruct", content=body, headers={"Content-Type": f"{kind}; boundary={boundary}"})
            assert answer.status_code == 200, answer.text
            assert answer.json()["image"] == "a.png"
        broken = http.post("/reconstruct", content=body, headers={"Content-Type": "multipart/form-data"})
        assert broken.status_code == 400


def test_damaged_pictures_are_never_a_fault_of_the_service(engine, model):
    """Pictures of any kind with bytes changed: 200, 415 or 422, whatever their decoders raise."""
    rng, pictures = np.random.default_rng(0), []
    image = Image.fromarray(dotted((64, 96), [(40, 30)], dot_px=16))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    exif.get_ifd(0x8769)[0xA405] = 35
    for kind in ("JPEG", "TIFF", "PNG", "WEBP", "AVIF", "GIF"):
        stream = io.BytesIO()
        image.save(stream, kind, **({} if kind == "GIF" else {"exif": exif}))
        pictures.append(stream.getvalue())
    seen = set()
    with client(engine, model) as http:
        for picture in pictures:
            assert http.post("/reconstruct", content=picture).status_code == 200
            for _ in range(12):
                data = bytearray(picture)
                for place in rng.integers(0, min(len(data), 400), 4):
                    data[place] = rng.integers(256)
                seen.add(http.post("/reconstruct", content=bytes(data[: rng.integers(20, len(data))])).status_code)
                seen.add(http.post("/reconstruct", content=bytes(data)).status_code)
    assert seen <= {200, 415, 422}
    assert 415 in seen


def test_an_unheard_of_decoder_error_is_415(engine, model, monkeypatch):
    with client(engine, model) as http:

        def fail(*_, **__):
            raise struct.error("unpack requires a buffer of 2 bytes")

        monkeypatch.setattr(Reconstructor, "load", fail)
        answer = http.post("/reconstruct", content=png())
        assert (answer.status_code, "is it damaged?" in answer.json()["detail"]) == (415, True)


def test_a_focal_length_that_the_picture_lacks_is_422(engine, model):
    settings = ReconstructConfig(min_score=0.4, size_px=256, focal="exif")
    reconstructor = Reconstructor(engine, model, config=settings)
    with TestClient(create_app(reconstructor, ServeConfig(reconstruct=settings))) as http:
        answer = http.post("/reconstruct", content=png())
        assert answer.status_code == 422
        assert "focal length in its EXIF tags" in answer.json()["detail"]


def test_other_origins_are_let_in_by_option_alone(engine, model):
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    with client(engine, model) as http:
        assert http.options("/reconstruct", headers=asked).status_code == 405
        assert "access-control-allow-origin" not in http.get("/health", headers=asked).headers
    with client(engine, model, cors=("https://example.org",)) as http:
        answer = http.options("/reconstruct", headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://example.org"
        posted = http.post("/reconstruct", content=png(), headers={"Origin": "https://example.org"})
        assert posted.headers["access-control-allow-origin"] == "https://example.org"


def test_decoded_pixels_are_bounded(engine, model, monkeypatch):
    """Never more decoded pictures than fit: 100,000 pixels are allowed, two of 51,200 are too many at once."""
    alive, most, lock, load = 0, 0, threading.Lock(), Reconstructor.load

    def counting(self, image, **options):
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return load(self, image, **options)

    encode = _app.encode_scene

    def encoding(*arguments, **options):
        nonlocal alive
        with lock:
            alive -= 1
        return encode(*arguments, **options)

    monkeypatch.setattr(_app, "PIXELS_TOGETHER", 100_000)
    monkeypatch.setattr(Reconstructor, "load", counting)
    monkeypatch.setattr(_app, "encode_scene", encoding)
    with client(engine, model) as http, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: http.post("/reconstruct", content=png()), range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert most == 1


def test_every_limit_has_its_status(engine, model):
    with client(engine, model, max_body_bytes=50_000) as http:
        assert http.post("/reconstruct", content=b"x" * 50_001).status_code == 413
        assert http.post("/reconstruct", content=b"no picture").status_code == 415
        assert http.post("/reconstruct", content=b"").status_code == 415
        assert http.post("/reconstruct", content=png()[:300]).status_code == 415
        large = http.post("/reconstruct", content=png(size_hw=(400, 400)))
        assert large.status_code == 422
        assert "at most 100000 pixels, got 400x400" in large.json()["detail"]
        assert http.post("/reconstruct", files={"other": ("a.png", png())}).status_code == 415
        assert http.post("/reconstruct?format=stl", content=png()).status_code == 422
        assert http.get("/reconstruct").status_code == 405


def test_a_full_queue_is_503_and_a_slow_result_504(engine, model):
    with client(engine, model, max_queue=2, timeout_s=1.0) as http:
        engine.gate.clear()
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: http.post("/reconstruct", content=png()), range(12)))
        engine.gate.set()
        statuses = {answer.status_code for answer in answers}
        assert statuses == {503, 504}
        assert all(a.headers["retry-after"] == "1" for a in answers if a.status_code == 503)
        # on a busy machine a picture may take longer than the limit
        assert 200 in (http.post("/reconstruct", content=png()).status_code for _ in range(100))


def test_concurrent_requests_share_forward_passes(engine, model):
    with client(engine, model, batch_wait_s=0.2) as http:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: http.post("/reconstruct", content=png([(40 + 16 * n, 60)])), range(8)))
        assert [a.status_code for a in answers] == [200] * 8
        centers = [a.json()["faces"][0]["center_px"][0] for a in answers]
        assert all(abs(x - (40 + 16 * n)) <= 8 for n, x in enumerate(centers))
        assert len(engine.batches) < 8
        text = http.get("/metrics").text
        assert 'morphable_responses_total{status="200"} 8' in text
        assert "morphable_faces_total 8" in text
        assert "morphable_request_seconds_count 8" in text


def test_health_and_openapi(engine, model):
    with client(engine, model) as http:
        assert http.get("/health").json() == {"alive": True, "waiting": 0}
        paths = http.get("/openapi.json").json()["paths"]
        assert {"/reconstruct", "/health", "/metrics"} <= set(paths)
        assert "503" in paths["/reconstruct"]["post"]["responses"]
        for path in ("/", "/docs"):
            page = http.get(path)
            assert page.headers["content-type"].startswith("text/html")
            assert "/reconstruct" in page.text
            assert "<script" not in page.text  # nor anything else from elsewhere
            assert "http://" not in page.text.replace("http://HOST:PORT", "")
        assert "landmarks68_px" in http.get("/docs").text
        schema = http.get("/openapi.json").json()
        assert {"SceneAnswer", "FaceAnswer", "ErrorAnswer"} <= set(schema["components"]["schemas"])


def test_an_error_of_one_request_stays_its_own(engine, model):
    real = SlowDetector.detect

    def failing(self, images, *, top_k, min_score):
        if (images[:, 2] > 0.95).any():
            raise RuntimeError("broken")
        return real(self, images, top_k=top_k, min_score=min_score)

    blue = io.BytesIO()
    Image.new("RGB", (256, 200), (0, 0, 255)).save(blue, "PNG")
    patch = pytest.MonkeyPatch()
    patch.setattr(SlowDetector, "detect", failing)
    http = client(engine, model, batch_wait_s=0.3)
    http = TestClient(http.app, raise_server_exceptions=False)
    with http, ThreadPoolExecutor(3) as pool:
        bodies = [png(), blue.getvalue(), png()]
        statuses = list(pool.map(lambda body: http.post("/reconstruct", content=body).status_code, bodies))
    patch.undo()
    assert statuses == [200, 500, 200]


def test_stopping_finishes_what_waits(engine, model):
    http = client(engine, model)
    with http, ThreadPoolExecutor(1) as pool:
        engine.gate.clear()
        answer = pool.submit(http.post, "/reconstruct", content=png())
        time.sleep(0.3)
        threading.Timer(0.5, engine.gate.set).start()
    assert answer.result().status_code == 200


SERVER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from stand_ins import DotDetector, toy_model
from morphable_reconstruct.service import server
from morphable_reconstruct.service.options import ServeConfig

class SlowDots(DotDetector):
    def detect(self, images, **options):
        sys.stderr.write("under way\\n")
        sys.stderr.flush()
        time.sleep(1.0)
        return super().detect(images, **options)

made = server.Reconstructor
server.Reconstructor = lambda *_, config, **__: made(SlowDots(), toy_model(), config=config)
sys.exit(server.serve(ServeConfig(port=int(sys.argv[2]), timeout_s=300.0)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends processes at once there")
def test_sigterm_finishes_what_is_under_way_and_ends_with_status_0():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = str(Path(__file__).parent)
    process = subprocess.Popen([sys.executable, "-c", SERVER, folder, str(port)], stderr=subprocess.PIPE, text=True)
    try:
        assert "serving on" in process.stderr.readline()
        address = f"http://127.0.0.1:{port}"
        for _ in range(10 * round(PATIENT_S)):
            try:
                httpx2.get(f"{address}/health")
                break
            except httpx2.TransportError:
                time.sleep(0.1)
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(httpx2.post, f"{address}/reconstruct", content=png(), timeout=PATIENT_S)
            assert any("under way" in line for line in process.stderr)
            process.send_signal(signal.SIGTERM)
            assert answer.result().status_code == 200
        assert process.wait(PATIENT_S) == 0
    finally:
        process.kill()


def test_options_out_of_range():
    for options in ({"max_queue": 0}, {"max_body_bytes": 0}, {"timeout_s": 0.0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            ServeConfig(**options)
