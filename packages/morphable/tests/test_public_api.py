"""What users may rely on."""


def test_importers_are_public():
    from morphable import importers

    assert importers.__all__ == ["import_3ddfa", "import_bfm", "import_bfm09", "import_flame", "import_ict"]
