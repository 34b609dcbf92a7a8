"""Loading models by name or from a file."""

from importlib.resources import as_file, files
from os import PathLike

from morphable.model import MorphableModel
from morphable.model_file import read_model_file

BUILT_IN = ("open",)


def load_model(model: str | PathLike[str]) -> MorphableModel:
    """Load a face model.

    >>> import morphable
    >>> morphable.load_model("open").num_identity
    80

    Args:
        model: `open` for the model that comes with this package, or the path of a model file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, of another kind or of a newer format version.
    """
    if model not in BUILT_IN:
        return MorphableModel(read_model_file(model))
    stored = files("morphable") / "data" / f"{model}.safetensors"
    if not stored.is_file():
        raise FileNotFoundError(
            f"model {model!r} must come with the package, but this installation lacks it; "
            "reinstall morphable, or build it with packages/morphable/tools/build_open_model.py"
        )
    with as_file(stored) as path:
        return MorphableModel(read_model_file(path))
