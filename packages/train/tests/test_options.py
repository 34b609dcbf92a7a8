"""Options that the commands share."""

from dataclasses import replace

import pytest

from morphable_train.commands.options import take_options
from morphable_train.configs.stages import RunConfig


def test_options_are_taken_wherever_they_stand_and_the_last_one_counts():
    arguments = ["--preset", "a", "--out", "x", "--config=f.json", "--preset=b", "--steps", "3"]
    taken, rest = take_options(arguments, ("--preset", "--config"))
    assert taken == {"--preset": "b", "--config": "f.json"}
    assert rest == ["--out", "x", "--steps", "3"]
    with pytest.raises(ValueError, match="--preset must be followed by a value, got none"):
        take_options(["--steps", "3", "--preset"], ("--preset",))


def test_a_length_is_changed_only_where_it_is_given():
    config = RunConfig(steps=5, minutes=1.0, seed=3)
    assert config.with_length(None, None) == config
    assert config.with_length(2.0, None) == replace(config, minutes=2.0)
    assert config.with_length(0.0, 7) == replace(config, minutes=0.0, steps=7)
