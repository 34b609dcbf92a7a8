"""The folder of MakeHuman assets: what it holds, what it lacks, and how each kind is read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from morphable import decoding

CC_BY = (
    "curly",
    "curly2",
    "long_alpha7",
    "long2_alpha7",
    "glasses",
    "Wig_bun_blonde",
    "Full_beard",
    "Moustache",
    "Fishing_Hat_01",
)
"""Styles that ask for credit; everything else named here is CC0."""
_HEAD_UV = (0.63, 0.17, 1.0, 0.86)
"""Left, top, right, bottom of the head in MakeHuman's texture layout."""
_MAX_TEXTURE = 1024
_PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Style:
    """One wearable: a proxy mesh file and its picture."""

    name: str
    mesh: Path
    texture: Path


@dataclass(frozen=True)
class AssetCatalog:
    """What an assets folder offers, by kind and name; see `scan_assets`."""

    folder: Path
    hair: tuple[Style, ...]
    beards: tuple[Style, ...]
    eyebrows: tuple[Style, ...]
    eyelashes: tuple[Style, ...]
    teeth: tuple[Style, ...]
    tongue: tuple[Style, ...]
    clothes: tuple[Style, ...]
    glasses: tuple[Style, ...]
    hats: tuple[Style, ...]
    eyes: Style | None
    irises: tuple[Path, ...]
    skins_fine: tuple[Path, ...]
    """Diffuse maps of 1024 pixels and more."""
    skins_coarse: tuple[Path, ...]
    environments: tuple[Path, ...]
    backgrounds: tuple[Path, ...]
    masks: tuple[Path, ...]


_BEARDS, _GLASSES, _HATS = (
    ("Full_beard", "Moustache"),
    ("glasses",),
    ("fedora", "fedora_cocked", "fedora01", "Fishing_Hat_01"),
)


def scan_assets(folder: Path, *, cc0_only: bool = False) -> AssetCatalog:
    """List the assets below a folder without opening them.

    Args:
        folder: Holds ``makehuman/``, ``hdri/``, ``backgrounds/`` and optionally ``face_masks/``.
        cc0_only: Leave out everything that asks for credit or has another license than CC0 (backgrounds and masks too).
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"assets must be a folder, got {folder}; the README of morphable-synth lists its content"
        )
    core = folder / "makehuman"
    extra = core / "community_512"
    wigs, worn = _styles(extra / "hair"), _styles(extra / "clothes")
    hair = [*_styles(core / "hair"), *(s for s in wigs if s.name not in _BEARDS)]
    clothes = _styles(core / "clothes")
    hats = [s for s in (*clothes, *worn) if s.name in _HATS]

    def pick(styles: list[Style]) -> tuple[Style, ...]:
        return tuple(style for style in styles if not (cc0_only and style.name in CC_BY))

    eyes = [s for s in _styles(core / "eyes") if s.name == "high-poly"]
    return AssetCatalog(
        folder=folder,
        hair=pick(hair),
        beards=pick([s for s in wigs if s.name in _BEARDS]),
        eyebrows=pick(_styles(core / "eyebrows")),
        eyelashes=pick(_styles(core / "eyelashes")),
        teeth=pick(_styles(core / "teeth")),
        tongue=pick(_styles(core / "tongue")),
        clothes=pick([s for s in clothes if s.name not in _HATS]),
        glasses=pick([s for s in worn if s.name in _GLASSES]),
        hats=pick(hats),
        eyes=eyes[0] if eyes else None,
        irises=_pictures(core / "eyes" / "materials"),
        skins_fine=_pictures(core / "skins", deep=True),
        skins_coarse=_pictures(core / "skins_512", deep=True),
        environments=tuple(sorted((folder / "hdri").glob("*.hdr"))),
        backgrounds=() if cc0_only else _pictures(folder / "backgrounds"),
        masks=() if cc0_only else _pictures(folder / "face_masks"),
    )


def _pictures(folder: Path, *, deep: bool = False) -> tuple[Path, ...]:
    found = folder.rglob("*") if deep else folder.glob("*")
    return tuple(sorted(path for path in found if path.suffix.lower() in _PICTURES and "_NRM" not in path.name))


def _styles(folder: Path) -> list[Style]:
    """Proxy files below a folder, each with the picture its material names, or the one beside it."""
    out = []
    for mesh in sorted([*folder.glob("*/*.mhclo"), *folder.glob("*/*.json")]):
        beside = [
            p
            for p in _pictures(mesh.parent, deep=True)
            if not any(w in p.stem for w in ("normal", "displacement", "_ao", "bump"))
        ]
        named = [p for p in beside if p.name in _diffuse_names(mesh.parent)]
        shared = [*_pictures(folder / "teeth_base"), *_pictures(folder / "materials")]
        texture = (named or beside or shared or [mesh.with_suffix(".png")])[0]
        if named or beside or shared or mesh.stem == "high-poly":
            out.append(Style(mesh.parent.name, mesh, texture))
    return out


def _diffuse_names(folder: Path) -> set[str]:
    materials = [path.read_text(encoding="utf-8", errors="replace") for path in folder.glob("*.mhmat")]
    lines = [line.split() for text in materials for line in text.splitlines()]
    return {Path(words[-1]).name for words in lines if words and words[0] == "diffuseTexture"}


def open_picture(path: Path, *, reduced: bool = False) -> Image.Image:
    """Read a picture, or, to see whether it is whole, as small as its format gives it.

    Raises:
        ValueError: The file is not a whole picture, or a suspiciously large one.
    """
    try:
        with decoding.open_picture(path) as image:
            if reduced:
                image.draft("RGB", (64, 64))
            image.load()
            return image
    except Exception as error:  # decoders raise whatever damaged bytes make them
        raise ValueError(f"{path} must be a whole picture, got {error}; fetch it again") from error


def read_texture(path: Path, *, max_size: int = _MAX_TEXTURE) -> UInt8[np.ndarray, "rows cols 4"]:
    """Read a picture as sRGB-encoded RGBA, reduced to ``max_size``.

    Raises:
        ValueError: The file is not a whole picture.
    """
    rgba = open_picture(path).convert("RGBA")
    if max(rgba.size) > max_size:
        rgba.thumbnail((max_size, max_size), Image.Resampling.BOX)
    return np.asarray(rgba, np.uint8)


def read_head_skin(path: Path) -> UInt8[np.ndarray, "rows cols 4"]:
    """Read the part of a skin that covers the head; `head_uv` gives the matching coordinates.

    Raises:
        ValueError: The file is not a whole picture.
    """
    image = open_picture(path)
    left, top, right, bottom = (round(edge * image.width) for edge in _HEAD_UV)
    return np.asarray(image.convert("RGB").crop((left, top, right, bottom)).convert("RGBA"), np.uint8)


def head_uv(uv: np.ndarray) -> np.ndarray:
    """Map MakeHuman's texture coordinates to those of `read_head_skin`'s crop."""
    left, top, right, bottom = _HEAD_UV
    return np.asarray((uv - [left, top]) / [right - left, bottom - top], np.float32)


def style_named(styles: tuple[Style, ...], name: str) -> Style:
    """Return the style of that name.

    Raises:
        ValueError: There is none.
    """
    for style in styles:
        if style.name == name:
            return style
    known = ", ".join(style.name for style in styles) or "none"
    raise ValueError(f"style must be one of {known}, got {name!r}; the assets folder may have changed")


def picture_named(paths: tuple[Path, ...], stem: str) -> Path:
    """Return the picture whose file stem (or whole name) is given.

    Raises:
        ValueError: There is none.
    """
    for path in paths:
        if stem in (path.stem, path.name):
            return path
    raise ValueError(f"picture must be in the assets folder, got {stem!r}; the folder may have changed")
