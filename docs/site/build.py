"""Build the site: `nox -s docs` runs this and leaves build/site/html.

The pages are the repository's Markdown files, mirrored with their folders so that their links hold here and there; a
folder's README.md becomes its index.md, and files that pages link to come along. Made on the spot: the Python reference
(from `__all__` and the docstrings), the options of every command, and the table of the scene's JSON Schema. A link that
leads nowhere is an error, in the pages and in the finished site.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import tomli_w

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "site"
PAGES, HTML = BUILD / "pages", BUILD / "html"
SOURCES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "docs/guides/*.md",
    "examples/*.md",
    "packages/*/README.md",
)
CARDS = (
    "packages/morphable/src/morphable/data/OPEN_MODEL.md",
    "packages/reconstruct/src/morphable_reconstruct/weights/*.md",
    "packages/reconstruct/src/morphable_reconstruct/weights/per_face/*.md",
    "release/*.md",
)
CARD_TITLES = {"OPEN_MODEL": "open (face model)", "README": "For research only"}
PACKAGES = (
    "reconstruct", "morphable", "detector_head", "regressors", "render", "losses", "synth", "train", "evalkit",
)  # fmt: skip
PROGRAMS = {
    "reconstruct": "morphable_reconstruct.commands.entry",
    "morphable": "morphable.cli",
    "morphable-detector": "morphable_detector_head.cli",
    "morphable-synth": "morphable_synth.cli",
    "morphable-train": "morphable_train.cli",
    "evalkit": "morphable_evalkit.cli",
}
COMMANDS = re.compile(r"^(?:[│ ]*• |  (?=[a-z]))([a-z][a-z0-9-]*)\s", re.MULTILINE)
"""Names of a program's commands in its own help."""
LINK = re.compile(r"(!?\[[^\]\[]*(?:\[[^\]]*\][^\]\[]*)*\]\()([^)\s]+)(\))")
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def page_name(source: Path) -> Path:
    """Return the path of a source in the mirrored tree."""
    return source.with_name("index.md") if source.name == "README.md" else source


def sources() -> list[Path]:
    """Return every Markdown file of the site, relative to the repository."""
    return [path.relative_to(ROOT) for pattern in (*SOURCES, *CARDS) for path in sorted(ROOT.glob(pattern))]


def mirrored(source: Path, known: set[Path], wanted: set[Path]) -> str:
    """Return a page's text with links that hold in the mirrored tree; add the files it links to to `wanted`.

    Of a link to a folder without README.md the text remains.

    Raises:
        ValueError: A link leads nowhere.
    """
    text = (ROOT / source).read_text()
    code = [match.span() for match in CODE.finditer(text)]

    def moved(match: re.Match[str]) -> str:
        target, _, anchor = match[2].partition("#")
        if not target or urlsplit(target).scheme or any(start <= match.start() < end for start, end in code):
            return match[0]
        file = Path(os.path.normpath(source.parent / unquote(target)))
        if (ROOT / file).is_dir():
            if not (ROOT / file / "README.md").is_file():
                return match[1][1:-2]
            file /= "README.md"
        if not (ROOT / file).is_file():
            raise ValueError(f"{source} links to {target}, which is not there")
        if file not in known:
            wanted.add(file)
        path = os.path.relpath(page_name(file) if file in known else file, source.parent)
        return f"{match[1]}{Path(path).as_posix()}{'#' + anchor if anchor else ''}{match[3]}"

    return LINK.sub(moved, text)


def write_page(path: str, text: str) -> None:
    """Write a page."""
    (PAGES / path).parent.mkdir(parents=True, exist_ok=True)
    (PAGES / path).write_text(text)


def mirror() -> None:
    """Copy all pages and what they link to."""
    known, wanted = set(sources()), set[Path]()
    for source in sorted(known):
        write_page(page_name(source).as_posix(), mirrored(source, known, wanted))
    for file in sorted(wanted):
        (PAGES / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, PAGES / file)
    shutil.copyfile(Path(__file__).with_name("extra.css"), PAGES / "docs" / "site" / "extra.css")


def import_name(package: str) -> str:
    """Return what a package is imported as."""
    return package if package == "morphable" else f"morphable_{package}"


def write_api(package: str) -> str:
    """Write the reference of a package's public names, in the order of `__all__`; return the page's path."""
    module = import_module(import_name(package))
    parts = [f"# `{module.__name__}`\n", (module.__doc__ or "").strip()]
    for name in module.__all__:
        value = getattr(module, name)
        home = getattr(value, "__module__", None) if isinstance(value, type | type(write_api)) else None
        parts.append(f"::: {home or module.__name__}.{name}\n    options:\n      heading: {name}\n")
    path = f"docs/site/api/{module.__name__}.md"
    write_page(path, "\n\n".join(parts))
    return path


def help_of(main: Callable[[list[str]], int], arguments: list[str]) -> str:
    """Return what a command prints when it is asked for help."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(io.StringIO()), suppress(SystemExit):
        main([*arguments, "--help"])
    text = re.sub(r"\x1b\[[0-9;]*m", "", printed.getvalue()).strip()
    if not text:
        raise ValueError(f"{main.__module__} prints no help for {arguments}")
    return text


def write_commands() -> None:
    """Write the options of every command."""
    parts = ["# Commands and options\n\nWhat `--help` prints. Exit status: 0 done, 1 something failed, 2 wrong usage."]
    for program, module in PROGRAMS.items():
        main = import_module(module).main
        commands = COMMANDS.findall(help_of(main, []))
        if not commands:
            raise ValueError(f"the help of {program} must list its commands")
        parts.append(f"## {program}")
        parts += [f"### {program} {name}\n\n```text\n{help_of(main, [name])}\n```" for name in commands]
    write_page("docs/site/commands.md", "\n\n".join(parts) + "\n")


def schema_type(schema: dict[str, Any]) -> str:
    """Return a JSON Schema's type in words."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2].removesuffix("Answer")
    if "const" in schema:
        return f"`{schema['const']!r}`"
    if "anyOf" in schema:
        return " or ".join(map(schema_type, schema["anyOf"]))
    if "prefixItems" in schema:
        return f"{len(schema['prefixItems'])} x {schema_type(schema['prefixItems'][0])}"
    if schema.get("type") == "array":
        return f"list of {schema_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {schema_type(schema['additionalProperties'])}"
    return schema["type"]


def schema_tables(schema: dict[str, Any]) -> str:
    """Describe a JSON Schema in Markdown tables, one for each kind of object."""
    parts = []
    for name, kind in [(schema["title"], schema), *schema.get("$defs", {}).items()]:
        rows = [
            f"| `{field}` | {schema_type(value)} | {value.get('description', '')} |"
            for field, value in kind["properties"].items()
        ]
        parts.append(
            "\n".join(
                [
                    f"### {name.removesuffix('Answer')}\n\n{kind.get('description', '')}\n",
                    "| field | type | |",
                    "|---|---|---|",
                ]
                + rows
            )
        )
    return "\n\n".join(parts) + "\n"


def write_schema() -> None:
    """Append the fields of the scene's JSON to its page."""
    page = PAGES / "docs" / "scene_file.md"
    page.write_text(page.read_text() + "\n" + schema_tables(json.loads((ROOT / "docs/scene.schema.json").read_text())))


def nav_entries(entry: Any, generated: dict[str, list[Any]]) -> Any:
    """Put generated lists of pages into the place of their names."""
    if isinstance(entry, list):
        return [nav_entries(item, generated) for item in entry]
    if isinstance(entry, dict):
        return {title: nav_entries(value, generated) for title, value in entry.items()}
    return generated.get(entry, entry)


def paths_of(entry: Any) -> Iterator[str]:
    """Yield the pages of a navigation."""
    if isinstance(entry, str):
        yield entry
    else:
        for item in entry.values() if isinstance(entry, dict) else entry:
            yield from paths_of(item)


def write_config(api: list[str]) -> None:
    """Write the configuration with the whole navigation.

    Raises:
        ValueError: A page is missing in the navigation, or the other way round.
    """
    config = tomllib.loads(Path(__file__).with_name("zensical.toml").read_text())
    cards = [path.relative_to(ROOT).as_posix() for pattern in CARDS for path in sorted(ROOT.glob(pattern))]
    generated: dict[str, list[Any]] = {
        "@api": [{Path(path).stem: path} for path in api],
        "@packages": [{name: f"packages/{name}/index.md"} for name in PACKAGES],
        "@cards": [
            {CARD_TITLES.get(Path(path).stem, Path(path).stem): page_name(Path(path)).as_posix()} for path in cards
        ],
    }
    config["project"]["nav"] = nav_entries(config["project"]["nav"], generated)
    handler = config["project"]["plugins"]["mkdocstrings"]["handlers"]["python"]
    handler["options"]["extensions"] = [f"{Path(__file__).with_name('doctests.py')}:Doctests"]
    handler["paths"] = [str(ROOT / "packages" / package / "src") for package in PACKAGES]
    listed = set(paths_of(config["project"]["nav"]))
    present = {path.relative_to(PAGES).as_posix() for path in PAGES.rglob("*.md")}
    if listed != present:
        raise ValueError(f"pages and navigation differ: {sorted(listed ^ present)}")
    (BUILD / "zensical.toml").write_text(tomli_w.dumps(config))


class Targets(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def broken_links(site: Path) -> list[str]:
    """Return the links of a finished site that lead to no file or anchor of it; other addresses are not followed."""
    pages = {path: Targets(path.read_text()) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}
    broken = []
    for page, targets in pages.items():
        for link in sorted(targets.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            file = Path(os.path.normpath(page.parent / unquote(parts.path))) if parts.path else page
            file = file / "index.html" if file.is_dir() else file
            anchor = unquote(parts.fragment)
            if not file.is_file() or (file in pages and anchor not in pages[file].anchors):
                broken.append(f"{page.relative_to(site)}: {link}")
    return broken


def main() -> int:
    """Build the site and check its links."""
    os.environ |= {"COLUMNS": "84", "NO_COLOR": "1", "TERM": "dumb"}
    shutil.rmtree(BUILD, ignore_errors=True)
    (PAGES / "docs" / "site").mkdir(parents=True)
    mirror()
    write_commands()
    write_schema()
    write_config([write_api(package) for package in PACKAGES])
    program = Path(sys.executable).with_name("zensical")
    subprocess.run([program, "build", "--strict", "--clean", "--config-file", BUILD / "zensical.toml"], check=True)
    broken = broken_links(HTML)
    sys.stderr.write("".join(f"broken link in {line}\n" for line in broken))
    sys.stdout.write(f"{HTML}: {len(list(HTML.rglob('*.html')))} pages\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
