"""`reconstruct view`."""

import sys
from typing import Any

from PIL import Image

from morphable.extras import import_extra
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.viewer.options import ViewConfig
from morphable_reconstruct.viewer.session import Session

_TITLE = "morphable"


def view(config: ViewConfig) -> int:
    """Open the page and serve it until Ctrl-C."""
    import_extra("viser", "morphable-reconstruct", "viewer")
    Image.MAX_IMAGE_PIXELS = None  # this process's limit is --max-pixels
    reconstructor = Reconstructor(
        config.weights,
        config.model,
        per_face=config.per_face,
        weights_dir=config.weights_dir,
        config=config.reconstruct,
    )
    server = start_page(config, reconstructor)
    sys.stderr.write(f"open http://{config.host}:{server.get_port()} in a browser; Ctrl-C ends\n")
    try:
        server.sleep_forever()
    finally:
        server.stop()
    return 0


def start_page(config: ViewConfig, reconstructor: Reconstructor) -> Any:
    """Start the page's server in the background; every browser window gets its own scene.

    Raises:
        ImportError: viser is not installed.
    """
    viser = import_extra("viser", "morphable-reconstruct", "viewer")
    server = viser.ViserServer(host=config.host, port=config.port, label=_TITLE, verbose=False)
    server.gui.configure_theme(show_logo=False, show_share_button=False, control_width="large")

    @server.on_client_connect
    def _(client: Any) -> None:
        session = Session(client, reconstructor)
        if config.photo is not None:
            session.open(config.photo, config.photo.name)

    return server
