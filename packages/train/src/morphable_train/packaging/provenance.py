"""What weights were trained on, and under which license: gathered from runs, data sets and first weights."""

from collections.abc import Iterator
from pathlib import Path

from morphable import read_weights_info
from morphable.records import build_record
from morphable_synth.datasets.provenance import NOT_STATED
from morphable_train.configs.recipes import CONFIGS, DfmvrConfig, RecipeConfig
from morphable_train.configs.stages import TrainConfig
from morphable_train.data.rendered_scenes import describe_rendered
from morphable_train.data.shards import DESCRIPTION_FILE, DatasetInfo, read_info
from morphable_train.runs.logs import RUN_FILE, read_run_file

_NO_LICENSE = ("", "unknown", NOT_STATED)
"""What stands for a license that nobody stated: by hand, `prepare`'s default, and `morphable-synth`'s word."""
_NOT_DESCRIBED = ("", "not described")
"""The same for the training data of a weights file."""
IMAGENET = DatasetInfo(
    name="torchvision's ImageNet weights", license="BSD-3-Clause, trained on ImageNet-1k (non-commercial research)"
)
"""What `backbone_weights imagenet` starts from."""
_GIVE_BOTH = "give both --license and --training-data"


def terms(
    run: Path, config: TrainConfig | RecipeConfig, *, licence: str, training_data: str, also: tuple[Path, ...] = ()
) -> tuple[str, str]:
    """Return license and training data for a weights file: as given, or else from what the runs were trained on.

    Raises:
        ValueError: One is empty, and data or first weights do not state it.
    """
    if licence and training_data:
        return licence, training_data
    described = describe_data(run, config, licensed=not licence, also=also)
    return (
        licence or joined_licenses([info.license for info in described]),
        training_data or "; ".join(dict.fromkeys(map(str, described))),
    )


def describe_data(
    run: Path, config: TrainConfig | RecipeConfig, *, licensed: bool = True, also: tuple[Path, ...] = ()
) -> list[DatasetInfo]:
    """Describe what a run, and the networks its first weights came from, were trained on.

    Args:
        run: Its folder.
        config: Its configuration.
        licensed: Refuse what states no license.
        also: Other runs or weights that end in the same file.

    Raises:
        ValueError: Data or first weights do not say what they are, or under which license.
    """
    origins = list(_origins(config, (run.resolve(),)))
    origins += [origin for source in also for origin in _origins_of_weights(source, ())]
    for where, info in origins if licensed else ():
        if any(part.lower() in _NO_LICENSE for part in _parts(info.license)):
            raise ValueError(f"license of {where} must be stated, got {info.license!r}; give --license")
    return [info for _, info in origins]


def first_weights(config: TrainConfig | RecipeConfig) -> Path | None:
    """Return the file or run that trained weights were taken from; None if all were random, or ImageNet's."""
    if isinstance(config, TrainConfig):
        return config.initial or (None if config.backbone_weights == "imagenet" else config.backbone_weights)
    return config.start


def frozen_parser(config: TrainConfig | RecipeConfig) -> Path | None:
    """Return the file or run of the parser that is a part of DF-MVR; None of other networks."""
    return config.parser if isinstance(config, DfmvrConfig) and config.parsing_channel else None


def started_from(config: TrainConfig | RecipeConfig) -> str:
    """Say for a card where a run's first weights came from."""
    source, parser = first_weights(config), frozen_parser(config)
    beside = "" if parser is None else f", beside the parser of `{parser.name}`"
    if source is None:
        return f"the encoder of {IMAGENET.name}" if _starts_from_imagenet(config) else f"random weights{beside}"
    if not isinstance(config, TrainConfig):
        return f"the layers of `{source.name}`{beside}"
    return f"the {'network' if config.initial else 'encoder'} of `{source.name}`"


def read_any_run_config(run: Path) -> TrainConfig | RecipeConfig:
    """Read the configuration of a run of a stage or of a recipe.

    Raises:
        FileNotFoundError: The folder is not a run.
        ValueError: It is of another version, or has unknown keys.
    """
    values = read_run_file(run)["config"]
    kind: type[TrainConfig | RecipeConfig] = CONFIGS.get(values.get("recipe", ""), TrainConfig)
    return build_record(kind, values, "config")


def _origins(config: TrainConfig | RecipeConfig, later: tuple[Path, ...]) -> Iterator[tuple[str, DatasetInfo]]:
    """Where each thing that a run learned from is described, and how; `later` are the runs that started from it."""
    for folder in (*config.data.exact, *(config.data.weak if isinstance(config, TrainConfig) else ())):
        info = read_info(folder)
        if info is None:
            raise ValueError(f"shards must have a {DESCRIPTION_FILE}, got none in {folder}; {_GIVE_BOTH}")
        yield str(folder), info
    if isinstance(config, TrainConfig) and config.data.synthesize != "none":
        yield "scenes rendered while training", describe_rendered(config)
    if _starts_from_imagenet(config):
        yield "backbone_weights imagenet", IMAGENET
    for source in (first_weights(config), frozen_parser(config)):
        if source is not None:
            yield from _origins_of_weights(source, later)


def _starts_from_imagenet(config: TrainConfig | RecipeConfig) -> bool:
    """Whether a run's encoder started from torchvision's ImageNet weights."""
    return isinstance(config, TrainConfig) and config.initial is None and config.backbone_weights == "imagenet"


def _origins_of_weights(source: Path, later: tuple[Path, ...]) -> Iterator[tuple[str, DatasetInfo]]:
    """The same of a run, a checkpoint inside its run, or a weights file.

    Raises:
        ValueError: It is none of these, was moved, or is one of the runs that started from it.
    """
    above = source.parent.parent
    run = above if source.parent.name == "checkpoints" and (above / RUN_FILE).is_file() else source
    try:
        if run.resolve() in later:
            raise ValueError("a run cannot start from itself, so another was there before")
        if run.is_dir():
            before = read_any_run_config(run)
        else:
            info = read_weights_info(source)
            if info.training_data in _NOT_DESCRIBED:
                raise ValueError("its training data are not described")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"first weights must say what they were trained on, got {source} ({error}); {_GIVE_BOTH}"
        ) from error
    if run.is_dir():
        yield from _origins(before, (*later, run.resolve()))
    else:
        yield str(source), DatasetInfo(name=f'weights "{info.name}" of {info.training_data}', license=info.license)


def joined_licenses(licenses: list[str]) -> str:
    """Join licenses, which may be joined ones, and name each once."""
    return "; ".join(dict.fromkeys(part for one in licenses for part in _parts(one)))


def _parts(license_: str | None) -> list[str]:
    """The licenses that a joined one consists of; JSON may hold null."""
    return [part.strip() for part in (license_ or "").split(";")]
