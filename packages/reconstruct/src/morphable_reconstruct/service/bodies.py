"""Pictures out of requests."""

import io
from typing import Any

from fastapi import HTTPException, Request

from morphable_reconstruct.photographs.reading import Photograph, TooManyPixelsError
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor

TOO_LARGE, NOT_A_PICTURE, UNFIT = 413, 415, 422
_MULTIPART = "multipart/form-data"


async def read_body(request: Request, max_bytes: int) -> tuple[bytes, str]:
    """Read a raw or multipart body, stopping as soon as it is too large; return the picture's bytes and name."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise HTTPException(TOO_LARGE, f"body must have at most {max_bytes} bytes; send a smaller picture")
        chunks.append(chunk)
    body = b"".join(chunks)
    if not request.headers.get("content-type", "").strip().lower().startswith(_MULTIPART):
        return body, "image"
    async with _replayed(request, body).form(max_files=1, max_fields=1) as form:
        upload = form.get("image")
        if upload is None or isinstance(upload, str):
            raise HTTPException(NOT_A_PICTURE, "form must have the file field image; name it so")
        return await upload.read(), upload.filename or "image"


async def discard_body(request: Request, max_bytes: int) -> None:
    """Read a body without keeping it, so that the client hears the answer; give up past the limit."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            return


def decode_picture(reconstructor: Reconstructor, body: bytes, name: str) -> Photograph:
    """Decode a picture.

    Raises:
        HTTPException: 415 for what is no picture, whatever its decoder raises; 422 for too many pixels, or without
            the focal length that the request asks to take from the picture.
    """
    try:
        photo = reconstructor.load(io.BytesIO(body), name=name)
    except TooManyPixelsError as error:
        raise HTTPException(UNFIT, str(error)) from None
    except ValueError as error:
        raise HTTPException(NOT_A_PICTURE, str(error)) from None
    except Exception as error:  # decoders raise what they like
        text = f"image must be a whole picture, got {name}: {error}; is it damaged?"
        raise HTTPException(NOT_A_PICTURE, text) from None
    if reconstructor.config.focal == "exif" and photo.exif_focal_px is None:
        raise HTTPException(UNFIT, f"image must have a focal length in its EXIF tags, got {name} without")
    return photo


def _replayed(request: Request, body: bytes) -> Request:
    """Return the same request with a body already read; the type of the body is compared in lower case."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [
        (name, _lower_type(value) if name == b"content-type" else value) for name, value in request.scope["headers"]
    ]
    return Request({**request.scope, "headers": headers}, receive)


def _lower_type(value: bytes) -> bytes:
    """Lower the letters of a content type, not those of its parameters (the boundary)."""
    kind, semicolon, rest = value.partition(b";")
    return kind.lower() + semicolon + rest
