"""`reconstruct views LEFT FRONT RIGHT`: one person from several photographs."""

from PIL import Image

from morphable_reconstruct.batch.options import ViewsConfig
from morphable_reconstruct.batch.output import check_outputs
from morphable_reconstruct.batch.summary import finish
from morphable_reconstruct.batch.views import save_views, view_sources
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor


def run_views(config: ViewsConfig, reconstructor: Reconstructor | None = None) -> int:
    """Reconstruct one person from left, front and right; 1 if a picture cannot be read or shows no face.

    Args:
        config: Options of the command.
        reconstructor: A loaded network; by default the configuration's.
    """
    sources = view_sources(config.views)
    Image.MAX_IMAGE_PIXELS = None  # this process's limit is --max-pixels
    check_outputs(config.out, config.json, config.preds)
    if reconstructor is None:
        reconstructor = Reconstructor(
            config.weights,
            config.model,
            per_face=config.per_face,
            weights_dir=config.weights_dir,
            config=config.reconstruct,
        )
    return finish([save_views(sources, reconstructor, config)], config)
