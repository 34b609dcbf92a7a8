"""The workflow files name sessions that exist: they can't run where these tests do."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SESSIONS = set(re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(), re.MULTILINE))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_sessions_exist_and_nothing_is_written_without_need(workflow):
    text = workflow.read_text()
    named = {name for line in re.findall(r"nox -s ([\w ]+)", text) for name in line.split()}
    assert named
    assert named <= SESSIONS
    assert "permissions:\n  contents: read" in text


def test_only_a_tag_publishes_and_only_after_the_checks():
    text = (ROOT / ".github" / "workflows" / "publish.yml").read_text()
    assert re.search(r"on:\n  push:\n    tags: \[\"v\*\"\]\n", text)
    assert re.findall(r"needs: (\w+)", text) == ["ci", "build"]


def test_sessions_of_the_pages_exist():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "releasing.md"):
        named = {name for line in re.findall(r"`nox -s ([\w ]+)", page.read_text()) for name in line.split()}
        assert named <= SESSIONS
