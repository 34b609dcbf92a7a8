"""How every command starts and ends: `--version`, one line per error, and the exit statuses."""

import io
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, TypeVar

from morphable.extras import import_extra

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses: all is done, something failed, the command line is wrong, stopped by the user."""

_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that end lines, move a terminal's cursor, change its colors, turn the order of letters, or are none."""
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF
"""What Python makes of bytes that are not UTF-8 in the names of files."""

Parsed = TypeVar("Parsed")


class UsageError(ValueError):
    """The command line is wrong, as a command finds out after the options were parsed."""


def run_command(
    program: str,
    distribution: str,
    argv: Sequence[str] | None,
    *,
    parse: Callable[[list[str]], Parsed],
    act: Callable[[Parsed], int | None],
) -> int:
    """Parse a command line, carry it out, and return the exit status.

    Args:
        program: Name of the command, which starts its error messages.
        distribution: The distribution whose version `--version` prints.
        argv: The arguments; those of the process if None.
        parse: Turns arguments into what is to be done. A ValueError is wrong usage; so is a SystemExit of status 2.
        act: Does it and returns an exit status; None means done. UsageError is wrong usage; OSError, ValueError,
            ArithmeticError and ImportError are failures.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may not be in the terminal's encoding
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return _carry_out(program, distribution, arguments, parse=parse, act=act)
        finally:
            sys.stdout.flush()  # a reader that has gone away is noticed here, not by the interpreter as it ends
    except BrokenPipeError:
        return _leave_quietly()


def choose_command(
    commands: Mapping[str, Callable[[], Parsed]], arguments: Sequence[str], *, program: str, description: str
) -> Parsed:
    """Read the first argument, the name of a command, and return what that command's function returns.

    The functions take nothing and import what their command needs, so that nothing of the others is imported; the
    first lines of their docstrings are what `--help` prints. Other arguments are left to the command.

    Args:
        commands: Functions by name of the command.
        arguments: The command line; without any, the usage is wrong.
        program: Name of the program, for help and errors.
        description: What the program does, for `--help`.
    """
    extras: Any = import_extra("tyro.extras", "morphable", "cli")
    return extras.subcommand_cli_from_dict(
        dict(commands), prog=program, description=description, args=list(arguments[:1])
    )


def _carry_out(
    program: str,
    distribution: str,
    arguments: list[str],
    *,
    parse: Callable[[list[str]], Parsed],
    act: Callable[[Parsed], int | None],
) -> int:
    """Do what `run_command` does, but for a reader of the output that goes away."""
    if arguments == ["--version"]:
        sys.stdout.write(f"{program} {version(distribution)}\n")
        return DONE
    try:
        parsed = parse(arguments)
    except ValueError as error:  # of a configuration that checks itself
        return _complain(program, error, WRONG_USAGE)
    except ImportError as error:  # of a package that only commands need
        return _complain(program, error, FAILED)
    try:
        return act(parsed) or DONE
    except UsageError as error:
        return _complain(program, error, WRONG_USAGE)
    except BrokenPipeError:
        raise
    except (OSError, ValueError, ArithmeticError, ImportError) as error:
        return _complain(program, error, FAILED)
    except KeyboardInterrupt:
        return _complain(program, "stopped", INTERRUPTED)


def printable(text: str) -> str:
    r"""Return a file's name, or a line with names in it, so that a terminal shows it and obeys nothing in it.

    Bytes that are not UTF-8, ends of lines and other control characters are shown as `\xff`, `\n` and the like.

    >>> print(printable("a\x1b[31m.jpg"))
    a\x1b[31m.jpg
    """
    return _NO_TEXT.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    """Return a character as it is written in Python, a byte of a file's name as that byte."""
    code = ord(character)
    return f"\\x{code & 0xFF:02x}" if _FIRST_BYTE <= code <= _LAST_BYTE else ascii(character)[1:-1]


def _complain(program: str, error: Exception | str, status: int) -> int:
    """Write one line about what is wrong; more where the error has more."""
    sys.stderr.write("\n".join(map(printable, f"{program}: {error}".split("\n"))) + "\n")
    return status


def _leave_quietly() -> int:
    """End without a message when nobody reads the output any more, e.g. `reconstruct photos | head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE
