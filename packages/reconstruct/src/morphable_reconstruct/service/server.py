"""`reconstruct serve`."""

import contextlib
import signal
import sys

from PIL import Image

from morphable.extras import import_extra
from morphable.memory import ARRAY_BYTES, give_memory_back, trim_memory
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.service.options import ServeConfig


def serve(config: ServeConfig) -> int:
    """Serve until SIGINT or SIGTERM; requests under way are finished first."""
    uvicorn = import_extra("uvicorn", "morphable-reconstruct", "service")
    import_extra("fastapi", "morphable-reconstruct", "service")
    from morphable_reconstruct.service._app import create_app

    give_memory_back(ARRAY_BYTES)
    Image.MAX_IMAGE_PIXELS = None  # this process's limit is --max-pixels
    reconstructor = Reconstructor(
        config.weights,
        config.model,
        per_face=config.per_face,
        weights_dir=config.weights_dir,
        config=config.reconstruct,
    )
    app = create_app(reconstructor, config)
    trim_memory()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=config.host,
            port=config.port,
            log_level="warning",
            timeout_graceful_shutdown=int(config.timeout_s) + 1,
        )
    )
    sys.stderr.write(f"serving on http://{config.host}:{config.port} (POST /reconstruct, /docs)\n")
    sys.stderr.flush()
    # uvicorn sends itself the signal again once all requests are answered: it must not end the process then.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            server.run()
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0
