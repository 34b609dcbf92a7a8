"""The HTTP service: answers, limits with their own status, batching, graceful stop."""

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from stand_ins import DotEngine, dotted

from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.service.options import ServeConfig

fastapi = pytest.importorskip("fastapi")
pytest.importorskip("httpx2")
from fastapi.testclient import TestClient  # noqa: E402

from morphable_reconstruct.service._app import create_app  # noqa: E402


class SlowEngine(DotEngine):
    """Waits for a permission before each forward pass."""

    def __init__(self):
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.batches = []

    def __call__(self, images, *, top_k, min_score):
        self.gate.wait(20)
        self.batches.append(len(images))
        return super().__call__(images, top_k=top_k, min_score=min_score)


@pytest.fixture
def engine():
    return SlowEngine()


def client(engine, model, **limits):
    settings = ReconstructConfig(min_score=0.4, size_px=256, max_pixels=100_000, batch_size=4)
    reconstructor = Reconstructor(engine, model, config=settings)
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
        time.sleep(0.1)
        assert http.post("/reconstruct", content=png()).status_code == 200


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
        assert http.get("/docs").status_code == 404  # its page would load scripts from elsewhere


def test_an_error_of_one_request_stays_its_own(engine, model):
    real = SlowEngine.__call__

    def failing(self, images, *, top_k, min_score):
        if (images[:, 2] > 0.95).any():
            raise RuntimeError("broken")
        return real(self, images, top_k=top_k, min_score=min_score)

    blue = io.BytesIO()
    Image.new("RGB", (256, 200), (0, 0, 255)).save(blue, "PNG")
    patch = pytest.MonkeyPatch()
    patch.setattr(SlowEngine, "__call__", failing)
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


def test_options_out_of_range():
    for options in ({"max_queue": 0}, {"max_body_bytes": 0}, {"timeout_s": 0.0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            ServeConfig(**options)
