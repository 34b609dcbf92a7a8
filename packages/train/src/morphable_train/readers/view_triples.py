"""Photographs of one person from the left, the front and the right: plain folders, Pixel-Face, Multi-PIE.

The left view is seen from the person's own left: the nose points to the picture's left. Layouts:

    PERSON/left.jpg front.jpg right.jpg                                  any pictures
    0/00336010.png  1/00336011.png  2/00336012.png                       Pixel-Face as DF-MVR's authors sort it: the
                                                                         last digit is the folder's
    session01/multiview/001/01/08_0/001_01_01_080_06.png                 Multi-PIE: subject, recording, camera, flash

Of Multi-PIE, the cameras at 45 degrees (08_0, 19_0) and the frontal one (05_1) are used. Points come from a
`landmarks68.json` in the folder (paths below it), from a `.pts` beside a picture, or are found by `prepare`.
"""

from collections.abc import Iterator
from pathlib import Path

from morphable_train.data.pictures import PICTURE_SUFFIXES, pictures_in
from morphable_train.readers.item import SourceItem, layout_error, record_key
from morphable_train.readers.points import JSON_FILE, json_item, pts_item, read_entries

VIEWS = ("left", "front", "right")
PIXEL_FACE_FOLDERS = ("0", "1", "2")
MULTI_PIE_CAMERAS = ("08_0", "05_1", "19_0")


def read_triples(folder: Path) -> Iterator[SourceItem]:
    """Yield the three views of every folder `PERSON/left.jpg`, `front.jpg`, `right.jpg`.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    people = []
    for left in _pictures(folder, "left"):
        others = [_picture(left.parent, view) for view in VIEWS[1:]]
        people.append((left.parent.relative_to(folder), [left, *others]))
    yield from _items(folder, people, "three views of a person", "PERSON/left.jpg, front.jpg and right.jpg")


def read_pixel_face(folder: Path) -> Iterator[SourceItem]:
    """Yield the three views of Pixel-Face: folders 0, 1 and 2, the last digit of a name is its folder's.

    Raises:
        FileNotFoundError: The folder has another layout.
    """
    people = []
    first = folder / PIXEL_FACE_FOLDERS[0]
    for left in pictures_in(first) if first.is_dir() else []:
        if not left.stem.endswith(PIXEL_FACE_FOLDERS[0]):
            continue
        name = left.stem[:-1]
        others = [_picture(folder / number, name + number) for number in PIXEL_FACE_FOLDERS[1:]]
        people.append((Path(name), [left, *others]))
    yield from _items(folder, people, "Pixel-Face", "0/NAME0.png, 1/NAME1.png and 2/NAME2.png")


def read_multi_pie(folder: Path) -> Iterator[SourceItem]:
    """Yield the views at 45, 0 and 45 degrees of Multi-PIE, one triple for every flash.

    Raises:
        FileNotFoundError: The folder has another layout.
    """
    first, *rest = MULTI_PIE_CAMERAS
    people = []
    for left in sorted(folder.rglob(f"{first}/*.png")):
        others = []
        for camera in rest:
            name = left.name.replace(f"_{first.replace('_', '')}_", f"_{camera.replace('_', '')}_")
            path = left.parent.parent / camera / name
            others.append(path if path.is_file() else None)
        people.append((left.parent.parent.relative_to(folder) / left.stem.rpartition("_")[2], [left, *others]))
    yield from _items(folder, people, "Multi-PIE", "session01/multiview/001/01/08_0/001_01_01_080_06.png")


def triples_kind(folder: Path) -> str | None:
    """Return which of the layouts a folder has; None for another one."""
    if any(folder.glob("session*/multiview")) or any(folder.glob(f"*/*/{MULTI_PIE_CAMERAS[0]}")):
        return "multi_pie"
    if all((folder / name).is_dir() for name in PIXEL_FACE_FOLDERS):
        return "pixel_face"
    return "triples" if next(_pictures(folder, "left"), None) is not None else None


def _pictures(folder: Path, stem: str) -> Iterator[Path]:
    """Pictures of a name one folder down, in a fixed order."""
    found = (_picture(person, stem) for person in sorted(folder.iterdir()) if person.is_dir())
    return (path for path in found if path is not None)


def _picture(folder: Path, stem: str) -> Path | None:
    """The picture of a name, whatever its suffix."""
    suffixes = (*PICTURE_SUFFIXES, *(suffix.upper() for suffix in PICTURE_SUFFIXES))
    return next((path for suffix in suffixes if (path := folder / f"{stem}{suffix}").is_file()), None)


def _items(
    folder: Path, people: list[tuple[Path, list[Path | None]]], data_set: str, expected: str
) -> Iterator[SourceItem]:
    """Name the views of every person; a person with a missing view is one item with a problem."""
    if not people:
        raise layout_error(folder, data_set, expected)
    entries = read_entries(folder / JSON_FILE) if (folder / JSON_FILE).is_file() else {}
    for person, views in people:
        name = record_key(person / "x").rpartition("__")[0]
        missing = [view for view, path in zip(VIEWS, views, strict=True) if path is None]
        if missing:
            yield SourceItem(name, folder / person, problem=f"missing view: no {' and no '.join(missing)} of it")
            continue
        for view, path in zip(VIEWS, views, strict=True):
            assert path is not None
            key, listed = f"{name}_{view}", path.relative_to(folder).as_posix()
            if listed in entries:
                yield json_item(key, path, entries[listed])
            elif path.with_suffix(".pts").is_file():
                yield pts_item(key, path, path.with_suffix(".pts"))
            else:
                yield SourceItem(key, path)
