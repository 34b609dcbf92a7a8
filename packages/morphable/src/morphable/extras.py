"""Packages that only some features need: the extras of a distribution."""

import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires
from types import ModuleType

_OWN = "morphable"


def import_extra(module: str, distribution: str, extra: str) -> ModuleType:
    """Import a module that an extra of a distribution brings.

    Args:
        module: The module.
        distribution: One of this project's distributions, `morphable-reconstruct` say.
        extra: The extra of it.

    Raises:
        ModuleNotFoundError: The module is not installed; the message names a command that installs what the extra
            needs. An error inside the module passes through.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        root = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != root:
            raise
        raise ModuleNotFoundError(missing(root, distribution, extra), name=root) from None


def missing(name: str, distribution: str, extra: str) -> str:
    """Return the message that a package is not installed: it names the extra and its own requirements, `name` first.

    The requirements can be installed by their names from anywhere, also where this project's distributions were
    installed from a checkout.
    """
    needed = sorted(requirements(distribution, extra), key=lambda requirement: not requirement.startswith(name))
    wanted = " ".join(f"'{requirement}'" for requirement in needed) or f"'{name}'"
    return f"{name} is not installed; run `pip install {wanted}` (extra '{distribution}[{extra}]')"


def requirements(distribution: str, extra: str) -> list[str]:
    """Return what an extra of an installed distribution needs beyond this project's own distributions."""
    try:
        listed = requires(distribution) or []
    except PackageNotFoundError:
        return []
    found: list[str] = []
    for entry in listed:
        requirement, _, marker = entry.partition(";")
        if not re.search(rf"extra\s*==\s*[\"']{re.escape(extra)}[\"']", marker):
            continue
        own = re.match(rf"({_OWN}[\w-]*)\[([\w-]+)\]", requirement.strip())
        if own:
            found += requirements(own.group(1), own.group(2))
        elif not requirement.startswith(_OWN):
            found.append(requirement.replace(" ", "").replace("(", "").replace(")", ""))
    return found
