"""Per-face networks beside the single-shot one: Mobile-FRNet, PRNet, DF-MVR and face parsing."""

__version__ = "0.1.0"
