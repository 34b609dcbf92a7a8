"""Draw docs/architecture.svg from the packages themselves: floors, rooms and declared dependencies.

    python docs/draw_architecture.py

Floors come from the root pyproject.toml (the contract that import-linter checks), dependencies from the packages' own
pyproject.toml, rooms from the folders in their `src`. `tests/test_structure.py` compares the file with the code.
"""

import textwrap
import tomllib
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
WIDTH, LEFT, GAP, FLOOR_HEIGHT, BOX_HEIGHT = 1120, 24, 28, 182, 126
EVALKIT_WIDTH = 230
FONT = "font-family='DejaVu Sans, Verdana, sans-serif'"
BOX_COLOR, EDGE_COLOR, LINE_COLOR, TEXT_COLOR = "#eef3fa", "#4a6a8f", "#9aa9ba", "#1c2733"


def project(package: str) -> dict[str, object]:
    """Read a package's pyproject.toml."""
    return tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text())


def floors() -> list[list[str]]:
    """Return the packages by floor, top first."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    names = [[name.strip().removeprefix("morphable_") for name in floor.split("|")] for floor in contract["layers"]]
    return [[name for name in floor if name != "evalkit"] for floor in names]


def needs(package: str) -> set[str]:
    """Return the packages that a package declares."""
    declared = project(package)["tool"]["poetry"].get("dependencies", {})  # type: ignore[index]
    return {name.removeprefix("morphable-").replace("-", "_") for name in declared}


def arrows(packages: list[str]) -> list[tuple[str, str]]:
    """Return who needs whom, without what follows from the other arrows."""
    reach = {package: needs(package) for package in packages}
    direct = {
        package: {target for target in reach[package] if not any(target in reach[other] for other in reach[package])}
        for package in packages
    }
    return sorted((package, target) for package in packages for target in direct[package])


def rooms(package: str) -> list[str]:
    """Return the folders of a package's source."""
    name = package if package == "morphable" else f"morphable_{package}"
    source = ROOT / "packages" / package / "src" / name
    return sorted(path.parent.name for path in source.glob("*/__init__.py"))


def content(package: str) -> str:
    """Return the rooms of a package; of a package that is one room, what it is for."""
    inside = rooms(package)
    return ", ".join(inside) if len(inside) > 1 else str(project(package)["project"]["description"])  # type: ignore[index]


def box(package: str, left: float, top: float, width: float, *, dashed: bool = False) -> list[str]:
    """Draw a package with its rooms."""
    style = " stroke-dasharray='6 4'" if dashed else ""
    lines = textwrap.wrap(content(package), int(width / 7))
    return [
        f"<rect x='{left:g}' y='{top:g}' width='{width:g}' height='{BOX_HEIGHT}' rx='8' fill='{BOX_COLOR}' "
        f"stroke='{EDGE_COLOR}' stroke-width='1.5'{style}/>",
        f"<text x='{left + 12:g}' y='{top + 26:g}' font-size='17' font-weight='bold'>{escape(package)}</text>",
        *(
            f"<text x='{left + 12:g}' y='{top + 48 + 16 * row:g}' font-size='11.5'>{escape(line)}</text>"
            for row, line in enumerate(lines)
        ),
    ]


def draw() -> str:
    """Return the picture."""
    stories = floors()
    inner = WIDTH - 2 * LEFT - EVALKIT_WIDTH - GAP
    places: dict[str, tuple[float, float, float]] = {}
    for story, names in enumerate(stories):
        beside = len(names) == 1 and story < len(stories) - 1  # a floor of one package leaves the light to the others
        width = (inner - GAP * (len(names) - 1)) / len(names) if not beside else (inner - GAP) / 2
        for index, name in enumerate(names):
            left = LEFT + (inner - width if beside else index * (width + GAP))
            places[name] = (left, 20 + story * FLOOR_HEIGHT, width)
    height = 20 + len(stories) * FLOOR_HEIGHT - (FLOOR_HEIGHT - BOX_HEIGHT) + 20
    shapes = []
    for source, target in arrows(list(places)):
        (x, y, width), (to_x, to_y, to_width) = places[source], places[target]
        start, end = x + width / 2, min(max(x + width / 2, to_x + 16), to_x + to_width - 16)
        shapes.append(
            f"<line x1='{start:g}' y1='{y + BOX_HEIGHT:g}' x2='{end:g}' y2='{to_y - 7:g}' stroke='{LINE_COLOR}' "
            "stroke-width='1.6' marker-end='url(#tip)'/>"
        )
    for name, place in places.items():
        shapes += box(name, *place)
    shapes += box("evalkit", WIDTH - LEFT - EVALKIT_WIDTH, 20, EVALKIT_WIDTH, dashed=True)
    tip = (
        f"<defs><marker id='tip' viewBox='0 0 10 10' refX='9' refY='5' markerWidth='7' markerHeight='7' orient='auto'>"
        f"<path d='M0 0L10 5L0 10z' fill='{LINE_COLOR}'/></marker></defs>"
    )
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' {FONT} fill='{TEXT_COLOR}'>"
    return "\n".join([head, tip, f"<rect width='{WIDTH}' height='{height}' fill='white'/>", *shapes, "</svg>"]) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(draw())
