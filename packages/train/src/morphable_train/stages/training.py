"""A run from a configuration to its results."""

from dataclasses import dataclass, replace
from pathlib import Path

from lightning_fabric import Fabric

from morphable_train.configs.stages import TrainConfig, ValidationConfig
from morphable_train.data.backgrounds import Backgrounds
from morphable_train.data.crop_cache import CropSet, open_crops
from morphable_train.data.mirroring import mirrored_if_possible
from morphable_train.data.rendered_scenes import RenderedScenes
from morphable_train.data.scenes import SceneStream
from morphable_train.data.shards import ShardReader
from morphable_train.data.streams import CropStream, Shard, Stream
from morphable_train.runs.depthwise import speed_up_depthwise
from morphable_train.runs.logs import RunLog, write_run_file
from morphable_train.runs.loop import open_run
from morphable_train.runs.settings import read_run_config
from morphable_train.stages.engine import Trainer
from morphable_train.stages.network import CellPredictor
from morphable_train.stages.observer import Validator, open_detection, open_validation
from morphable_train.stages.parts import Parts, build_parts
from morphable_train.validation.detection import detect_pictures, measure_detection
from morphable_train.validation.faces import evaluate_set


@dataclass(frozen=True)
class RunResults:
    """Validation by set and name."""

    before: dict[str, dict[str, float]]
    """Validation at the first step of this run, or of its resumption."""
    after: dict[str, dict[str, float]]
    """Validation of the averaged weights at the end."""


def train(config: TrainConfig, run: Path, *, resume: bool = False, devices: int = 1) -> RunResults:
    """Train a network and return its validation before and after.

    Args:
        config: What to do.
        run: Folder of the run: checkpoints, logs, pictures, `run.json`, `results.json`.
        resume: Go on from the run's newest checkpoint.
        devices: Processes on this machine when it is not `torchrun` that starts them.

    Raises:
        FileExistsError: The run has checkpoints and `resume` is false.
        ValueError: Data or configuration are unusable.
        DivergedError: A loss is not finite.

    >>> from morphable_detector_head import DetectorConfig
    >>> from morphable_train.configs.stages import AugmentConfig, DataConfig, RunConfig
    >>> config = TrainConfig(
    ...     data=DataConfig(exact=(shards,), crop_px=80, crop_face_px=36.0, min_face_px=20.0),
    ...     augment=AugmentConfig(face_px=(24.0, 44.0)),
    ...     detector=DetectorConfig(backbone="mobilenet_v3_small", width=8),
    ...     run=RunConfig(steps=1, batch_size=2, input_px=64, precision="32-true"),
    ... )
    >>> results = train(config, folder / "run")
    >>> len(list((folder / "run" / "checkpoints").iterdir()))
    1
    """
    with open_run(config, run, resume=resume, devices=devices) as fabric:
        parts = build_parts(config)
        parts.model.to(fabric.device)
        exact = bool(config.data.exact) or config.data.synthesize != "none"
        config = replace(config, augment=mirrored_if_possible(config.augment, parts.model, exact=exact))
        parts.objective.to(fabric.device)
        if fabric.device.type == "cpu":
            speed_up_depthwise(parts.network)
        log = RunLog(run, enabled=fabric.is_global_zero)
        validator = Validator(config, parts, open_validation(config, parts), log, run, open_detection(config))
        trainer = make_trainer(config, run, fabric, parts, log, validator)
        if resume:
            trainer.resume()  # refuses another network before anything of the run is overwritten
        if fabric.is_global_zero:
            write_run_file(run, config, processes=fabric.world_size)
        before: dict[str, dict[str, float]] = {}
        if fabric.is_global_zero and validator.measures:
            before = dict(validator.validate(trainer.progress.step, trainer.average))
        if not resume and config.initial is None:
            trainer.start_from_mean()
        trainer.train()
        log.close()
        return RunResults(before, validator.results)


def make_trainer(
    config: TrainConfig, run: Path, fabric: Fabric, parts: Parts, log: RunLog, validator: Validator | None
) -> Trainer:
    """Join the parts of a run."""
    shard = Shard(fabric.global_rank, fabric.world_size)
    stream = open_stream(config, run, parts, shard, fabric)
    return Trainer(config=config, run=run, fabric=fabric, parts=parts, stream=stream, log=log, observer=validator)


def open_stream(config: TrainConfig, run: Path, parts: Parts, shard: Shard, fabric: Fabric) -> Stream:
    """Open the data of a stage; the first process makes the cache, the others wait for it."""
    data, model = config.data, parts.model
    cache = data.cache or run / "cache"

    def crops(folders: tuple[Path, ...]) -> CropSet | None:
        return open_crops(folders, cache, data, model) if folders else None

    rendered = RenderedScenes(config, model) if data.synthesize != "none" else None
    with fabric.rank_zero_first():
        if config.run.stage == 1:
            return CropStream(rendered or crops(data.exact), crops(data.weak), config, shard)
        readers = rendered or [ShardReader(folder) for folder in data.exact]
        photographs = [ShardReader(folder) for folder in data.weak] if data.weak_fraction > 0 else []
        pasted = crops(data.weak or data.exact) if data.paste_fraction > 0 or not readers else None
        backgrounds = Backgrounds(data.backgrounds, config.run.input_px) if data.backgrounds else None
        return SceneStream(readers, photographs, pasted, config, model, shard, backgrounds)


def evaluate(run: Path, validation: ValidationConfig) -> dict[str, dict[str, float]]:
    """Measure a run's averaged weights on any data; nothing in the run changes.

    Raises:
        FileNotFoundError: The folder is not a run, or has no checkpoint.
        ValueError: A folder holds no usable face, or detection is asked of a run of stage 1.

    >>> from morphable_train.configs.stages import ValidationConfig
    >>> evaluate(run, ValidationConfig(exact=(shards,)))["shards"]["faces"]
    2.0
    """
    config = replace(read_run_config(run), validation=validation)
    if validation.pictures and config.run.stage == 1:
        raise ValueError(f"pictures must be measured on a run of stage 2, got {run} of stage 1; it trains no detection")
    parts = build_parts(replace(config, initial=run, backbone_weights=None))
    predictor = CellPredictor(parts.network, with_center=False).eval()
    layout, surface = config.detector.layout, parts.surface
    results = {data.name: evaluate_set(predictor, data, surface, layout)[0] for data in open_validation(config, parts)}
    for pictures in open_detection(config):
        found = detect_pictures(parts.network, pictures, surface, min_score=validation.min_score)
        results[f"detection_{pictures.name}"] = measure_detection(found, pictures, surface)
    return results
