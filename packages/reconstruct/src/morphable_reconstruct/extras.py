"""Optional packages, named by the extra that brings them."""

import importlib
from types import ModuleType


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional package.

    Raises:
        ImportError: It is not installed; the message names the command. An error inside the package passes through.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        root = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != root:
            raise
        raise ImportError(
            f"{root} is not installed; run `pip install 'morphable-reconstruct[{extra}]'`", name=root
        ) from None
