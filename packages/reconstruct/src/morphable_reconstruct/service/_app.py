"""The application: routes, limits, answers. Needs FastAPI at import; `server` checks for it first."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from morphable_reconstruct.exports.coefficients import scene_to_dict
from morphable_reconstruct.exports.glb import scene_to_glb
from morphable_reconstruct.photographs.reading import Photograph, TooManyPixelsError
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.scene import Scene
from morphable_reconstruct.service.batcher import Batcher, QueueFullError
from morphable_reconstruct.service.metrics import Metrics
from morphable_reconstruct.service.options import ServeConfig

TOO_LARGE, NOT_A_PICTURE, TOO_MANY_PIXELS, BUSY, TOO_SLOW = 413, 415, 422, 503, 504
_RETRY_AFTER_S = "1"
_DESCRIPTION = "Every face of a photograph in 3D. Metres, radians, pixels of the photograph (corner at 0, 0)."
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"model/gltf-binary": {}}, "description": "The scene as JSON, or as GLB."},
    TOO_LARGE: {"description": "The body is larger than the limit."},
    NOT_A_PICTURE: {"description": "The body is no picture, or a damaged one."},
    TOO_MANY_PIXELS: {"description": "The picture has more pixels than the limit."},
    BUSY: {"description": "Too many requests wait; try again."},
    TOO_SLOW: {"description": "The result took longer than the limit."},
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"image": {"type": "string", "format": "binary"}}}
            },
        },
    }
}


def create_app(reconstructor: Reconstructor, config: ServeConfig) -> FastAPI:
    """Build the application around a loaded network."""
    batcher = Batcher(reconstructor, max_queue=config.max_queue, wait_s=config.batch_wait_s)
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        await batcher.stop()

    app = FastAPI(
        title="morphable-reconstruct", description=_DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    _add_health(app, batcher, metrics)

    @app.middleware("http")
    async def count(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        start = time.perf_counter()
        response = await answer(request)
        if request.url.path == "/reconstruct":
            metrics.observe(response.status_code, time.perf_counter() - start)
        return response

    @app.post("/reconstruct", responses=_RESPONSES, openapi_extra=_BODY)
    async def reconstruct(
        request: Request,
        format: Literal["json", "glb"] = "json",  # noqa: A002
        texture: Literal["albedo", "photo", "none"] = "albedo",
    ) -> Response:
        """Reconstruct every face of one picture, sent as the body or as the form field `image`."""
        body, name = await _read_body(request, config.max_body_bytes)
        scene = await _scene(batcher, reconstructor, body, name, config.timeout_s)
        metrics.faces += len(scene)
        if format == "json":
            return JSONResponse(await asyncio.to_thread(scene_to_dict, scene))
        data = await asyncio.to_thread(scene_to_glb, scene, texture=texture)
        return Response(data, media_type="model/gltf-binary")

    return app


def _add_health(app: FastAPI, batcher: Batcher, metrics: Metrics) -> None:
    """Routes for those who watch the service."""

    @app.get("/health")
    async def health() -> Response:
        """200 while the worker runs, 503 otherwise."""
        status = 200 if batcher.alive else BUSY
        return JSONResponse({"alive": batcher.alive, "waiting": batcher.waiting}, status)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def show_metrics() -> Response:
        """Counters in Prometheus' text format."""
        text = metrics.text(waiting=batcher.waiting, batch_sizes=batcher.batch_sizes)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


async def _scene(batcher: Batcher, reconstructor: Reconstructor, body: bytes, name: str, timeout_s: float) -> Scene:
    """Decode and reconstruct one picture, each failure with its own status."""
    try:
        async with asyncio.timeout(timeout_s):
            photo: Photograph = await asyncio.to_thread(reconstructor.load, io.BytesIO(body), name=name)
            return await batcher.submit(photo)
    except TooManyPixelsError as error:
        raise HTTPException(TOO_MANY_PIXELS, str(error)) from None
    except ValueError as error:
        raise HTTPException(NOT_A_PICTURE, str(error)) from None
    except QueueFullError:
        raise HTTPException(
            BUSY, "too many requests wait; try again", headers={"Retry-After": _RETRY_AFTER_S}
        ) from None
    except TimeoutError:
        raise HTTPException(TOO_SLOW, f"no result within {timeout_s:g} s; try a smaller picture") from None


async def _read_body(request: Request, max_bytes: int) -> tuple[bytes, str]:
    """Read a raw or multipart body, stopping as soon as it is too large."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise HTTPException(TOO_LARGE, f"body must have at most {max_bytes} bytes; send a smaller picture")
        chunks.append(chunk)
    body = b"".join(chunks)
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return body, "image"
    async with _replayed(request, body).form(max_files=1, max_fields=1) as form:
        upload = form.get("image")
        if upload is None or isinstance(upload, str):
            raise HTTPException(NOT_A_PICTURE, "form must have the file field image; name it so")
        return await upload.read(), upload.filename or "image"


def _replayed(request: Request, body: bytes) -> Request:
    """The same request with a body already read."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(request.scope, receive)
