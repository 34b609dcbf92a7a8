"""The overlay of a running video as a page of this machine: a JPEG after the other in one answer."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

_HOST = "127.0.0.1"
_BOUNDARY = "frame"
_QUALITY = 80
_WAIT_S = 1.0
_PAGE = b"""<!doctype html><title>reconstruct</title><body style="margin:0;background:#222;text-align:center">
<img src="/stream" style="max-width:100%;max-height:100vh">"""


class Preview:
    """The latest frame, for any number of browsers; nothing is encoded while none looks."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.address = f"http://{_HOST}:{server.server_port}/"
        self._changed = threading.Condition()
        self._pixels: UInt8[np.ndarray, "rows cols 3"] | None = None
        self._number = 0
        self.closed = False

    def show(self, pixels: UInt8[np.ndarray, "rows cols 3"]) -> None:
        """Replace the frame."""
        with self._changed:
            self._pixels, self._number = pixels, self._number + 1
            self._changed.notify_all()

    def frames(self) -> Iterator[bytes]:
        """Give the latest frame as JPEG whenever it has changed, until the video ends."""
        last = 0
        while not self.closed:
            with self._changed:
                self._changed.wait_for(lambda: self._number != last or self.closed, timeout=_WAIT_S)  # noqa: B023
                if self._pixels is None or self._number == last:
                    continue
                pixels, last = self._pixels, self._number
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY)
            yield stream.getvalue()

    def close(self) -> None:
        """End all streams."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()


@contextmanager
def preview_server(port: int) -> Iterator[Preview]:
    """Serve a preview on 127.0.0.1.

    Args:
        port: Port to listen on; 0 takes a free one.

    Raises:
        OSError: The port is in use.
    """

    class Handler(BaseHTTPRequestHandler):
        """Answers with the page or the stream."""

        def do_GET(self) -> None:
            """Answer a browser."""
            if self.path == "/":
                self._start("text/html; charset=utf-8")
                self.wfile.write(_PAGE)
            elif self.path == "/stream":
                self._start(f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
                self._stream()
            else:
                self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Keep the terminal for the run."""

        def _start(self, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Cache-Control", "no-store")
            self.end_headers()

        def _stream(self) -> None:
            try:
                for jpeg in preview.frames():
                    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
            except OSError:
                return  # the browser has gone

    with ThreadingHTTPServer((_HOST, port), Handler) as server:
        server.daemon_threads = True
        preview = Preview(server)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield preview
        finally:
            preview.close()
            server.shutdown()
            thread.join()
