"""The application: routes, limits, answers. Needs FastAPI at import; `server` checks for it first."""

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Annotated, Any, get_args

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

from morphable_reconstruct.photographs.reading import pixel_count
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.service.admission import Admission, BusyError
from morphable_reconstruct.service.answers import (
    MEDIA_TYPES,
    ErrorAnswer,
    Format,
    HealthAnswer,
    NoSuchFaceError,
    SceneAnswer,
    Texture,
    encode_scene,
)
from morphable_reconstruct.service.batcher import Batcher
from morphable_reconstruct.service.bodies import (
    NOT_A_PICTURE,
    TOO_LARGE,
    UNFIT,
    decode_picture,
    discard_body,
    read_body,
)
from morphable_reconstruct.service.metrics import Metrics
from morphable_reconstruct.service.options import ServeConfig
from morphable_reconstruct.service.pages import docs_page, home_page

BAD_FORM, NO_SUCH_FACE, BUSY, TOO_SLOW = 400, 404, 503, 504
PIXELS_TOGETHER = 12_000_000
"""Decoded pixels of all requests under way; a larger picture is decoded alone."""
_RETRY_AFTER_S = "1"
_TITLE = "morphable-reconstruct"
_DESCRIPTION = (
    "Every face of a photograph in 3D: POST a picture to /reconstruct. Meters, radians, pixels of the photograph "
    "(corner at 0, 0)."
)
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": SceneAnswer,
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for name, kind in MEDIA_TYPES.items()
            if name != "json"
        },
        "description": "The scene in the format asked for.",
    },
    BAD_FORM: {"model": ErrorAnswer, "description": "The form is damaged or has other fields."},
    NO_SUCH_FACE: {"model": ErrorAnswer, "description": "There is no face to crop."},
    TOO_LARGE: {"model": ErrorAnswer, "description": "The body is larger than the limit."},
    NOT_A_PICTURE: {"model": ErrorAnswer, "description": "The body is no picture, or a damaged one."},
    UNFIT: {
        "description": "The picture has more pixels than the limit or lacks the focal length asked for, or an option "
        "is wrong."
    },
    BUSY: {"model": ErrorAnswer, "description": "Too many requests are under way; try again."},
    TOO_SLOW: {"model": ErrorAnswer, "description": "The result took longer than the limit."},
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


class _Service:
    """What the routes share."""

    def __init__(self, reconstructor: Reconstructor, config: ServeConfig) -> None:
        self.reconstructor, self.config = reconstructor, config
        self.batcher = Batcher(reconstructor, max_queue=config.max_queue, wait_s=config.batch_wait_s)
        self.admission = Admission(max_requests=config.max_queue, max_pixels=PIXELS_TOGETHER)
        self.metrics = Metrics()
        # One picture is decoded and one answer encoded at a time: textures take hundreds of megabytes for a moment.
        self._decoding = ThreadPoolExecutor(1, thread_name_prefix="decoding")
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix="encoding")

    @asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        """Run the worker; at the end finish what is under way."""
        self.batcher.start()
        yield
        await self.batcher.stop()
        self._decoding.shutdown()
        self._encoding.shutdown()

    async def answer(self, request: Request, file_format: Format, texture: Texture, face: int) -> bytes:
        """Read, decode, reconstruct and encode one picture, each failure with its own status."""
        config, has_body = self.config, False
        try:
            async with asyncio.timeout(config.timeout_s):
                with self.admission.request():
                    body, name = await read_body(request, config.max_body_bytes)
                    has_body = True
                    return await self._reconstructed(body, name, file_format=file_format, texture=texture, face=face)
        except BusyError:
            if not has_body:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(discard_body(request, config.max_body_bytes), config.timeout_s)
            headers = {"Retry-After": _RETRY_AFTER_S}
            raise HTTPException(BUSY, "too many requests are under way; try again", headers=headers) from None
        except TimeoutError:
            text = f"no result within {config.timeout_s:g} s; try a smaller picture"
            raise HTTPException(TOO_SLOW, text) from None
        except NoSuchFaceError as error:
            raise HTTPException(NO_SUCH_FACE, str(error)) from None

    async def _reconstructed(self, body: bytes, name: str, **options: Any) -> bytes:
        """Reconstruct one picture; its decoded pixels are counted until its answer is encoded."""
        async with self.admission.pixels(await _in(self._decoding, pixel_count, io.BytesIO(body))):
            photo = await _in(self._decoding, decode_picture, self.reconstructor, body, name)
            scene = await self.batcher.submit(photo)
            self.metrics.faces += len(scene)
            return await _in(self._encoding, lambda: encode_scene(scene, **options))


async def _in(pool: ThreadPoolExecutor, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a thread."""
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


def create_app(reconstructor: Reconstructor, config: ServeConfig) -> FastAPI:
    """Build the application around a loaded network."""
    service = _Service(reconstructor, config)
    app = FastAPI(
        title=_TITLE,
        version=version(_TITLE),
        description=_DESCRIPTION,
        lifespan=service.running,
        docs_url=None,
        redoc_url=None,
    )
    if config.cors:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(config.cors), allow_methods=["GET", "POST"], allow_headers=["*"]
        )
    _add_health(app, service)
    _add_pages(app)

    @app.middleware("http")
    async def count(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        start = time.perf_counter()
        response = await answer(request)
        if request.url.path == "/reconstruct":
            service.metrics.observe(response.status_code, time.perf_counter() - start)
        return response

    @app.post("/reconstruct", responses=_RESPONSES, openapi_extra=_BODY)
    async def reconstruct(
        request: Request,
        format: Annotated[Format, Query(description="Format of the answer.")] = "json",  # noqa: A002
        texture: Annotated[Texture, Query(description="Texture of GLB.")] = "photo",
        face: Annotated[int, Query(description="Index of the face that `crop` shows.", ge=0)] = 0,
    ) -> Response:
        """Reconstruct every face of one picture, sent as the body or as the form field `image`."""
        return Response(await service.answer(request, format, texture, face), media_type=MEDIA_TYPES[format])

    return app


def _add_health(app: FastAPI, service: _Service) -> None:
    """Routes for those who watch the service."""

    @app.get("/health", responses={200: {"model": HealthAnswer}, BUSY: {"model": HealthAnswer}})
    async def health() -> Response:
        """200 while the worker runs, 503 otherwise."""
        batcher = service.batcher
        return JSONResponse({"alive": batcher.alive, "waiting": batcher.waiting}, 200 if batcher.alive else BUSY)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def show_metrics() -> Response:
        """Counters in Prometheus' text format."""
        batcher = service.batcher
        text = service.metrics.text(waiting=batcher.waiting, batch_sizes=batcher.batch_sizes)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


def _add_pages(app: FastAPI) -> None:
    """Routes for people with a browser."""

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def home() -> str:
        """Say what answers here."""
        return home_page(title=_TITLE, description=_DESCRIPTION, formats=get_args(Format))

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> str:
        """Document the routes, without scripts from elsewhere."""
        return docs_page(app.openapi())
