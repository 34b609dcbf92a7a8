"""The command `reconstruct`: `run` (the default), `views`, `view` and `serve`."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from morphable.commands import run_command
from morphable.memory import give_memory_back
from morphable_reconstruct.batch.options import RunConfig, ViewsConfig
from morphable_reconstruct.service.options import ServeConfig
from morphable_reconstruct.viewer.options import ViewConfig

PROGRAM = "reconstruct"
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
    """Run the command line; return the exit status (`morphable.commands`)."""
    give_memory_back()
    warnings.filterwarnings("ignore", module="PIL")  # of damaged tags, which count as absent
    return run_command(PROGRAM, "morphable-reconstruct", argv, parse=_parse, act=lambda config: _action(config)(config))


def _parse(arguments: list[str]) -> Any:
    """Read the options; without a command they are those of `run`."""
    if arguments and arguments[0] not in {*_COMMANDS, "-h", "--help"}:
        arguments = [_DEFAULT, *arguments]
    return tyro.extras.subcommand_cli_from_dict(
        _COMMANDS, prog=PROGRAM, description=_DESCRIPTION, args=arguments or ["--help"]
    )


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
