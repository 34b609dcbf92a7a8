"""A plain folder of photographs."""

from collections.abc import Iterator
from pathlib import Path

from morphable_train.data.pictures import pictures_in
from morphable_train.readers.item import SourceItem, layout_error, record_key


def read_folder(folder: Path) -> Iterator[SourceItem]:
    """Yield every picture below a folder; landmarks are found by `prepare`.

    Raises:
        FileNotFoundError: There is no picture.
    """
    pictures = pictures_in(folder) if folder.is_dir() else []
    if not pictures:
        raise layout_error(folder, "a folder", "pictures (.jpg, .png, ...) at any depth")
    for path in pictures:
        yield SourceItem(record_key(path.relative_to(folder)), path)
