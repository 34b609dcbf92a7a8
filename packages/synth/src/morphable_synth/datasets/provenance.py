"""What pictures are made of: the sources that scenes may draw from, their licenses, and the version of the code."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

from morphable.files import refusing
from morphable_synth.assets.catalog import AssetCatalog, Style, scan_assets
from morphable_synth.scene.description import SceneConfig

LICENSE_FILE = "licenses.json"
"""In an assets folder: ``[{"pattern", "name", "license"}, ...]``, patterns of paths below it, before the known ones."""
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Source:
    """Something that pictures are made of."""

    name: str
    license: str


_FACES = Source("open face model and base mesh hm08", "CC0-1.0")
_MAKEHUMAN = "MakeHuman core assets"
_BY_PUNKDUCK, _BY_GRINSEGOLD = "MakeHuman community assets by punkduck", "MakeHuman community assets by grinsegold"
_KNOWN = (
    ("makehuman/community_512/hair/curly*", _BY_PUNKDUCK, "CC-BY"),
    ("makehuman/community_512/hair/long*_alpha7/*", _BY_PUNKDUCK, "CC-BY"),
    ("makehuman/community_512/clothes/glasses/*", _BY_PUNKDUCK, "CC-BY"),
    ("makehuman/community_512/hair/Wig_bun_blonde/*", _BY_GRINSEGOLD, "CC-BY"),
    ("makehuman/community_512/*/Full_beard/*", _BY_GRINSEGOLD, "CC-BY"),
    ("makehuman/community_512/*/Moustache/*", _BY_GRINSEGOLD, "CC-BY"),
    ("makehuman/community_512/clothes/Fishing_Hat_01/*", "MakeHuman community assets by Mindfront", "CC-BY"),
    ("makehuman/community_512/hair/junglebookhair/*", "MakeHuman community assets by sonntag78", "CC0-1.0"),
    ("makehuman/community_512/hair/blondwithheadband/*", "MakeHuman community assets by sonntag78", "CC0-1.0"),
    ("makehuman/community_512/hair/afro01/*", _MAKEHUMAN, "CC0-1.0"),
    ("makehuman/community_512/hair/bob01/*", _MAKEHUMAN, "CC0-1.0"),
    ("makehuman/community_512/clothes/fedora*", _MAKEHUMAN, "CC0-1.0"),
    ("makehuman/community_512/*", "MakeHuman community assets", NOT_STATED),
    ("makehuman/*", _MAKEHUMAN, "CC0-1.0"),
    ("hdri/*_[1248]k.hdr", "Poly Haven environment maps", "CC0-1.0"),
    ("backgrounds/cid22_*", "CID22 photographs (Cloudinary, Pexels)", "CC-BY-SA-4.0"),
    ("backgrounds/clic2025_*", "CLIC 2025 photographs (Unsplash)", "Unsplash licence"),
    ("backgrounds/kodak_*", "Kodak photographs", "unrestricted usage (Kodak)"),
    ("backgrounds/elementary_*", "elementary wallpapers", "Unsplash licence or public domain, by file"),
    ("face_masks/KN95*", "face mask cut-outs (MaskTheFace)", "MIT"),
    ("face_masks/N95*", "face mask cut-outs (MaskTheFace)", "MIT"),
    ("face_masks/cloth*", "face mask cut-outs (MaskTheFace)", "MIT"),
    ("face_masks/surgical*", "face mask cut-outs (MaskTheFace)", "MIT"),
    ("*", "other files", NOT_STATED),
)
"""Path pattern, name and license of the public files that the README names; the first that fits counts."""


def sources_of(config: SceneConfig) -> tuple[Source, ...]:
    """Return everything that scenes of these settings may be made of, each once.

    Files are recognized by their paths: by the folder's `licenses.json`, where there is one, else by the names that
    MakeHuman, Poly Haven and the photo collections of the README give their files. What neither knows is listed under
    its folder with the license "not stated".

    Raises:
        ValueError: `licenses.json` does not have the form of `LICENSE_FILE`.
    """
    found = [_FACES]
    if config.assets is not None:
        catalog = scan_assets(config.assets, cc0_only=config.cc0_only)
        known = (*_own_list(config.assets), *_KNOWN)
        found += [_source_of(path.relative_to(config.assets).as_posix(), known) for path in _drawn(catalog, config)]
    return tuple(dict.fromkeys(found))


def license_of(sources: tuple[Source, ...]) -> str:
    """Return the licenses of sources joined, each once."""
    return "; ".join(dict.fromkeys(source.license for source in sources))


def code_version() -> str:
    """Return this package's version with a digest of its files: another code, or other data, has another one."""
    folder = Path(__file__).parents[1]
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".safetensors"))
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files))
    return f"{version('morphable-synth')}+{digest.hexdigest()[:12]}"


def _drawn(catalog: AssetCatalog, config: SceneConfig) -> Iterator[Path]:
    """Files that scenes of these settings may use."""
    kinds = ["hair", "beards", "eyebrows", "eyelashes", "teeth", "clothes", "irises", "skins_coarse", "skins_fine"]
    kinds += ["backgrounds", *(["environments"] * config.hdr_light)]
    kinds += ["glasses", "hats", "masks"] * config.occluders
    for entry in (catalog.eyes, *(entry for kind in kinds for entry in getattr(catalog, kind))):
        if isinstance(entry, Style):
            yield entry.mesh
            yield entry.texture
        elif entry is not None:
            yield entry


def _source_of(path: str, known: tuple[tuple[str, str, str], ...]) -> Source:
    name, terms = next((name, terms) for pattern, name, terms in known if fnmatch(path, pattern))
    return Source(f"{name} in {path.split('/')[0]}" if terms == NOT_STATED else name, terms)


def _own_list(folder: Path) -> tuple[tuple[str, str, str], ...]:
    path = folder / LICENSE_FILE
    if not path.is_file():
        return ()
    with refusing('licenses must be a list of {"pattern", "name", "license"}', path):
        listed = json.loads(path.read_text())
        return tuple((str(entry["pattern"]), str(entry["name"]), str(entry["license"])) for entry in listed)
