"""Readers of public data sets: pictures with their annotations."""

from morphable_train.readers.data_sets import SourceKind, detect_kind, open_source

__all__ = ["SourceKind", "detect_kind", "open_source"]
