"""Measurements that a model card gets after its weights were measured."""

_LIMITS = "## Limits\n"


def with_photographs(card: str, measured: str) -> str:
    """Return a model card with a section of what was measured on photographs, before its limits.

    Raises:
        ValueError: The card has no section of limits, or there is nothing in `measured`.
    """
    if not measured.strip():
        raise ValueError("photographs must hold what was measured, got an empty file")
    before, limits, after = card.partition(_LIMITS)
    if not limits:
        raise ValueError(f"card must have the section {_LIMITS.strip()!r}, got none")
    return f"{before}## Photographs\n\n{measured.strip()}\n\n{limits}{after}"
