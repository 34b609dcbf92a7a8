"""What is built for an index names the repository's address, which the repository itself does not hold."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = runpy.run_path(str(ROOT / "release" / "with_addresses.py"))
ADDRESS = "https://host.example/owner/name"
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    target = tmp_path_factory.mktemp("packages")
    SCRIPT["with_addresses"](ADDRESS + "/", target)
    return target


@pytest.mark.parametrize("package", PACKAGES)
def test_links_and_metadata_of_a_package_are_addresses(package, copies):
    project = tomllib.loads((copies / package / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Source"] == ADDRESS
    assert project["urls"]["Issues"] == f"{ADDRESS}/issues"
    stored = tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text())["project"]
    assert project | {"urls": stored.get("urls", {})} == stored | {"urls": stored.get("urls", {})}
    links = re.findall(r"\]\(([^)\s]+)\)", (copies / package / "README.md").read_text())
    assert [link for link in links if not link.startswith(("https://", "http://", "#"))] == []
    own = [link for link in links if link.startswith(ADDRESS)]
    assert own
    for link in own:
        view, tag, path = link.removeprefix(f"{ADDRESS}/").split("/", 2)
        assert (view, tag) in {("blob", f"v{project['version']}"), ("raw", f"v{project['version']}")}
        assert (ROOT / path.partition("#")[0]).exists()


def test_pictures_are_addressed_as_files_and_a_lost_one_is_an_error():
    links = SCRIPT["absolute_links"]
    text = links("![a](../../docs/front.jpg) [b](../../README.md#use) [c](#here)", Path("packages/x"), "at/{view}")
    assert text == "![a](at/raw/docs/front.jpg) [b](at/blob/README.md#use) [c](#here)"
    with pytest.raises(ValueError, match=r"lost\.md, which is not there"):
        links("[a](lost.md)", Path("packages/x"), "at/{view}")
