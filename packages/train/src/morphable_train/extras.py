"""Packages that only some commands need."""

import importlib
from typing import Any


def import_extra(module: str, extra: str) -> Any:
    """Import a module of an optional dependency.

    Raises:
        ModuleNotFoundError: It is not installed; the message names the command that does it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        message = f"{package} is not installed; run `pip install 'morphable-train[{extra}]'`"
        raise ModuleNotFoundError(message, name=package) from error
