"""The command `reconstruct`."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import tyro

from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.service.options import ServeConfig
from morphable_reconstruct.viewer.options import ViewConfig

_Config = TypeVar("_Config", RunConfig, ViewConfig, ServeConfig)
_INTERRUPTED = 130
_EPILOGUE = "Also: `reconstruct view` opens a viewer, `reconstruct serve` answers HTTP requests."


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run; 0 success, 1 failure, 2 wrong options."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments[0] if arguments else ""
    if command == "view":
        return _run(ViewConfig, arguments[1:], "reconstruct view", _view)
    if command == "serve":
        return _run(ServeConfig, arguments[1:], "reconstruct serve", _serve)
    return _run(RunConfig, arguments, "reconstruct", _reconstruct)


def _run(config_type: type[_Config], arguments: list[str], program: str, action: Callable[[_Config], int]) -> int:
    """Parse into a configuration and turn expected errors into one line."""
    try:
        description = f"{config_type.__doc__} {_EPILOGUE}" if config_type is RunConfig else config_type.__doc__
        config = tyro.cli(config_type, prog=program, args=arguments, description=description)
        return action(config)
    except (OSError, ValueError, ImportError) as error:
        sys.stderr.write(f"{program}: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{program}: stopped\n")
        return _INTERRUPTED


def _reconstruct(config: RunConfig) -> int:
    """Reconstruct pictures and videos."""
    from morphable_reconstruct.commands.reconstruct import run

    return run(config)


def _view(config: ViewConfig) -> int:
    """Open the viewer."""
    from morphable_reconstruct.viewer.page import view

    return view(config)


def _serve(config: ServeConfig) -> int:
    """Start the service."""
    from morphable_reconstruct.service.server import serve

    return serve(config)
