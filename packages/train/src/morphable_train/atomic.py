"""Files that are either whole or absent."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside the target, and rename it onto the target when the block succeeds.

    A full disk or a crash leaves the previous target as it was.

    Raises:
        OSError: The disk is full, with the target's name, which the operating system leaves out; or safetensors
            could not write.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.chmod(0o644)
        temporary.replace(target)
    except SafetensorError as error:
        raise OSError(f"{target} could not be written ({error}); free some space or check the folder") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(f"disk must have room for {target}, got {error.strerror}; free some and run again") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _flush_to_disk(path: Path) -> None:
    """Make the bytes durable before the rename makes them visible."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
