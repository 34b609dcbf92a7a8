"""Is a folder of assets complete and whole? Asked before anything is drawn from it."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from morphable_synth.assets.catalog import AssetCatalog, Style, open_picture, scan_assets
from morphable_synth.assets.environment import read_radiance, require_light
from morphable_synth.assets.proxies import read_proxy

_REQUIRED = (
    "hair",
    "eyebrows",
    "eyelashes",
    "teeth",
    "clothes",
    "eyes",
    "irises",
    "skins_fine",
    "environments",
    "backgrounds",
)
_OPTIONAL = ("beards", "tongue", "glasses", "hats", "skins_coarse", "masks")


@dataclass(frozen=True)
class AssetReport:
    """Outcome of `check_assets`."""

    counts: dict[str, int]
    missing: tuple[str, ...]
    """Kinds without which people cannot be drawn; empty if the folder can be used."""
    optional_missing: tuple[str, ...]
    broken: tuple[str, ...]
    """Files that cannot be read, with the reason."""

    @property
    def usable(self) -> bool:
        """Whether scenes can be rendered from the folder."""
        return not self.missing and not self.broken


def required_kinds(*, cc0_only: bool) -> tuple[str, ...]:
    """Kinds of assets scenes cannot be drawn without; `cc0_only` draws no background photographs."""
    return tuple(kind for kind in _REQUIRED if not (cc0_only and kind == "backgrounds"))


def require_assets(catalog: AssetCatalog, *, cc0_only: bool = False) -> None:
    """Refuse a folder that lacks a kind of asset scenes cannot be drawn without.

    Raises:
        ValueError: Names the kinds that are missing.
    """
    missing = [kind for kind in required_kinds(cc0_only=cc0_only) if not getattr(catalog, kind)]
    if missing:
        raise ValueError(
            f"assets must hold {', '.join(missing)}, got none in {catalog.folder}; "
            "`morphable-synth check-assets DIR` lists what a folder holds"
        )


def check_assets(folder: Path, *, cc0_only: bool = False) -> AssetReport:
    """Open every asset below a folder and report what is there, missing or broken.

    Args:
        folder: See `scan_assets`.
        cc0_only: Look only at what a run with that setting draws from.

    >>> check_assets(folder).usable
    False
    """
    catalog = scan_assets(folder, cc0_only=cc0_only)
    required = required_kinds(cc0_only=cc0_only)
    optional = tuple(kind for kind in (*_REQUIRED, *_OPTIONAL) if kind not in required)
    counts = {
        kind: int(catalog.eyes is not None) if kind == "eyes" else len(getattr(catalog, kind))
        for kind in (*required, *optional)
    }
    broken = []
    styles = [s for kind in counts for s in _as_styles(getattr(catalog, kind))]
    pictures = {s.texture for s in styles if s.name != "high-poly"} | {
        p for kind in ("irises", "skins_fine", "skins_coarse", "backgrounds", "masks") for p in getattr(catalog, kind)
    }
    for read, paths in (
        (read_proxy, {s.mesh for s in styles}),
        (partial(open_picture, reduced=True), pictures),
        (_read_light, catalog.environments),
    ):
        for path in sorted(paths):
            try:
                read(path)
            except (OSError, ValueError) as error:
                broken.append(f"{path}: {error}")
    absent = {kind for kind, count in counts.items() if count == 0}
    return AssetReport(
        counts,
        tuple(kind for kind in required if kind in absent),
        tuple(kind for kind in optional if kind in absent),
        tuple(broken),
    )


def require_whole_assets(folder: Path, *, cc0_only: bool = False) -> None:
    """Open every asset below a folder and refuse it if one is missing or broken.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: Names all that are.
    """
    report = check_assets(folder, cc0_only=cc0_only)
    faults = [*(f"no {kind}" for kind in report.missing), *report.broken]
    if faults:
        raise ValueError(f"assets must be whole, got {'; '.join(faults)} in {folder}")


def _as_styles(value: object) -> tuple[Style, ...]:
    if isinstance(value, Style):
        return (value,)
    return tuple(s for s in value if isinstance(s, Style)) if isinstance(value, tuple) else ()


def _read_light(path: Path) -> None:
    require_light(float(read_radiance(path).mean()), path.name)
