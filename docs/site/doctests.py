"""Show the doctests of docstrings as code: without fences Markdown takes `>>>` for quotations."""

from typing import Any

import griffe


def fenced(text: str) -> str:
    """Put every block of a docstring that starts with `>>>` between fences, up to the next empty line."""
    lines: list[str] = []
    inside = False
    for line in [*text.splitlines(), ""]:
        starts = not inside and line.lstrip().startswith(">>> ")
        indent = line[: len(line) - len(line.lstrip())]
        if starts:
            lines.append(f"{indent}```pycon")
            inside, margin = True, indent
        elif inside and not line.strip():
            lines.append(f"{margin}```")
            inside = False
        lines.append(line)
    return "\n".join(lines[:-1])


class Doctests(griffe.Extension):
    """Rewrites the docstrings that griffe reads."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite an object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
