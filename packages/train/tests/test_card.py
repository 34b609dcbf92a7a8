import pytest

from morphable_train.packaging.card import with_photographs


def test_measurements_stand_before_the_limits():
    card = with_photographs(
        "# mine\n\n## Measured\n\nx\n\n## Limits\n\nMany.\n", "| set | NME |\n|---|---|\n| afw | 3.9 |\n"
    )
    parts = [line for line in card.splitlines() if line.startswith(("#", "| afw"))]
    assert parts == ["# mine", "## Measured", "## Photographs", "| afw | 3.9 |", "## Limits"]
    assert card.endswith("## Limits\n\nMany.\n")


def test_an_empty_table_and_a_card_without_limits_are_refused():
    with pytest.raises(ValueError, match="photographs must hold what was measured"):
        with_photographs("## Limits\n", " \n")
    with pytest.raises(ValueError, match="card must have the section"):
        with_photographs("# mine\n", "| a |")
