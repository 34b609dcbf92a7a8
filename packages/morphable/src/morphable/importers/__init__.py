"""Readers of other projects' face models; each returns `ModelData` in our frame and units."""

from morphable.importers.basel import import_bfm
from morphable.importers.bfm09 import import_bfm09
from morphable.importers.flame import import_flame
from morphable.importers.ict import import_ict
from morphable.importers.tddfa import import_3ddfa

__all__ = ["import_3ddfa", "import_bfm", "import_bfm09", "import_flame", "import_ict"]
