"""The command `reconstruct`: `run` (the default), `views`, `view` and `serve`."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

import morphable_reconstruct
from morphable_reconstruct.batch.options import RunConfig, UsageError, ViewsConfig
from morphable_reconstruct.service.options import ServeConfig
from morphable_reconstruct.viewer.options import ViewConfig

PROGRAM = "reconstruct"
DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
_COMMANDS: dict[str, Callable[..., Any]] = {
    "run": RunConfig,
    "views": ViewsConfig,
    "view": ViewConfig,
    "serve": ServeConfig,
}
_DEFAULT = "run"
_DESCRIPTION = (
    "Reconstruct every face of photographs and videos in 3D. `reconstruct SOURCES` is short for `reconstruct run "
    "SOURCES`, whose options `reconstruct run --help` lists."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run; 0 done, 1 something failed, 2 wrong usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:
        sys.stdout.write(f"{PROGRAM} {morphable_reconstruct.__version__}\n")
        return DONE
    if arguments and arguments[0] not in {*_COMMANDS, "-h", "--help"}:
        arguments.insert(0, _DEFAULT)
    try:
        config = tyro.extras.subcommand_cli_from_dict(
            _COMMANDS, prog=PROGRAM, description=_DESCRIPTION, args=arguments or ["--help"]
        )
    except ValueError as error:  # of a nested configuration
        return _complain(error, WRONG_USAGE)
    try:
        return _action(config)(config)
    except UsageError as error:
        return _complain(error, WRONG_USAGE)
    except BrokenPipeError:
        return _leave_quietly()
    except (OSError, ValueError, ImportError) as error:
        return _complain(error, FAILED)
    except KeyboardInterrupt:
        return _complain("stopped", INTERRUPTED)


def _action(config: RunConfig | ViewsConfig | ViewConfig | ServeConfig) -> Callable[[Any], int]:
    """Import what carries out a command; `--help` must not wait for PyTorch."""
    if isinstance(config, ViewsConfig):
        from morphable_reconstruct.commands.views import run_views

        return run_views
    if isinstance(config, ViewConfig):
        from morphable_reconstruct.viewer.page import view

        return view
    if isinstance(config, ServeConfig):
        from morphable_reconstruct.service.server import serve

        return serve
    from morphable_reconstruct.commands.reconstruct import run

    return run


def _complain(error: Exception | str, status: int) -> int:
    """Say in one line what is wrong."""
    sys.stderr.write(f"{PROGRAM}: {error}\n")
    return status


def _leave_quietly() -> int:
    """End without a word when nobody reads the output any more, e.g. `reconstruct photos | head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE
