"""CelebA: single faces without 68-point labels."""

from collections.abc import Iterator
from pathlib import Path

from morphable_train.data.pictures import pictures_in
from morphable_train.readers.item import SourceItem, layout_error, record_key

_FOLDERS = ("img_celeba", "img_align_celeba", "Img/img_celeba", "Img/img_align_celeba")


def read_celeba(folder: Path) -> Iterator[SourceItem]:
    """Yield the pictures of CelebA; its five points are not used, landmarks are found by `prepare`.

    Raises:
        FileNotFoundError: None of the archive's picture folders is there.
    """
    pictures = next((folder / name for name in _FOLDERS if (folder / name).is_dir()), None)
    if pictures is None:
        raise layout_error(folder, "CelebA", "one of the folders " + ", ".join(_FOLDERS))
    for path in pictures_in(pictures):
        yield SourceItem(record_key(path.relative_to(pictures)), path)
