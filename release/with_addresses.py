"""Copy the packages with the addresses that an index shows: `python release/with_addresses.py ADDRESS FOLDER`.

ADDRESS is the repository's, such as https://host/owner/name. The copies name it in their metadata, and the links of
their READMEs, which are relative in the checkout, lead to the files of the version's tag there. `nox -s dist ADDRESS`
builds from such copies; the repository holds no address of its own.
"""

import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
RELATIVE_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?!\w+:|#)(?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
URLS = "[project.urls]\n"


def absolute_links(text: str, folder: Path, files: str) -> str:
    """Return Markdown whose relative links are addresses.

    Args:
        text: The Markdown.
        folder: Where it stands in the repository.
        files: Address of the repository's files, with `{view}` for `blob` (a page) or `raw` (a picture).

    Raises:
        ValueError: A link leads nowhere.
    """

    def moved(link: re.Match[str]) -> str:
        path = Path(os.path.normpath(folder / link["target"]))
        if not (ROOT / path).exists():
            raise ValueError(f"{folder / 'README.md'} links to {link['target']}, which is not there")
        address = files.format(view="raw" if link["image"] else "blob") + "/" + path.as_posix()
        return f"{link['image']}[{link['text']}]({address}{link['anchor'] or ''})"

    return RELATIVE_LINK.sub(moved, text)


def with_addresses(address: str, target: Path) -> None:
    """Copy every package to a folder, with addresses in its metadata and its README."""
    address = address.rstrip("/")
    for package in sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml")):
        copy = target / package.name
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
        project = (copy / "pyproject.toml").read_text()
        version = tomllib.loads(project)["project"]["version"]
        if URLS not in project:
            project = project.replace("[tool.poetry]\n", f"{URLS}\n[tool.poetry]\n", 1)
        urls = {"Source": address, "Issues": f"{address}/issues", "Releases": f"{address}/releases"}
        named = "".join(f'{name} = "{url}"\n' for name, url in urls.items())
        (copy / "pyproject.toml").write_text(project.replace(URLS, URLS + named, 1))
        readme = absolute_links(
            (copy / "README.md").read_text(), package.relative_to(ROOT), f"{address}/{{view}}/v{version}"
        )
        (copy / "README.md").write_text(readme)


if __name__ == "__main__":
    with_addresses(sys.argv[1], Path(sys.argv[2]))
