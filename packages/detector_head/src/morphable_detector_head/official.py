"""The official WM3DR checkpoint, converted once to this package's order, units and signs.

Facts of the released code (kalyo-zjl/WM3DR, `lib/resnet.py`, `lib/pt_renderer.py`): the names below; parameters in the
order identity, expression, albedo, angles, light (three colors of nine bands), translation (a, b, c); a camera with y
up in decimeters, `t = ((c + 10) (a + c_x - w/2) / f, (c + 10) (b + h/2 - c_y) / f, c + 10)`, added after the z axis of
the turned face was flipped.
"""

from pathlib import Path

import torch
from torch import Tensor

from .detector import DetectorConfig, FaceDetector, build_detector
from .files import read_state_dict
from .layout import NUM_COLORS, NUM_SH_BANDS
from .presets import WM3DR_OFFICIAL

METERS_PER_DECIMETER = 0.1
_STAGE_OF_LAYER = {
    "conv1": "stages.0.0",
    "bn1": "stages.0.1",
    "layer1": "stages.0.4",
    "layer2": "stages.0.5",
    "layer3": "stages.1.0",
    "layer4": "stages.2.0",
}
_OWN_NAMES = {
    "p3": "aggregation.lateral3",
    "p4": "aggregation.lateral4",
    "p5": "aggregation.lateral5",
    "p3_l2.weight": "aggregation.norm3.scale",
    "p4_l2.weight": "aggregation.norm4.scale",
    "p5_l2.weight": "aggregation.norm5.scale",
    "feat": "aggregation.fuse.0",
    "feat_bn": "aggregation.fuse.1",
    "hm.0": "center_head.hidden",
    "hm.2": "center_head.output",
    "params.0": "parameter_head.hidden",
    "params.2": "parameter_head.output",
}


def load_official(path: Path, *, config: DetectorConfig = WM3DR_OFFICIAL) -> FaceDetector:
    """Load `final.pth` of the official WM3DR release, in evaluation mode.

    The network pads nothing: as in the official demo, pad the picture at the right and bottom to a square and scale it
    to a multiple of 32 pixels; the principal point is the padded square's center. Decode the coefficients with
    BFM 2009 (80/64/80).

    Args:
        path: The checkpoint.
        config: The network's shape, for checkpoints of the same code with other sizes.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is truncated or of another network.

    >>> load_official(Path("final.pth"))
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    state = read_state_dict(path)
    renamed = {own_name(name): value for name, value in state.items() if not name.startswith("fc.")}
    detector = build_detector(config)
    expected = detector.state_dict()
    for name, value in expected.items():
        if name.endswith("num_batches_tracked"):
            renamed.setdefault(name, value)
    wrong = [name for name in expected if name not in renamed or renamed[name].shape != expected[name].shape]
    extra = [name for name in renamed if name not in expected]
    if wrong or extra:
        raise ValueError(
            f"{path} must be an official WM3DR checkpoint, got {len(wrong)} missing or misshapen and {len(extra)} "
            f"unknown entries (first: {(wrong + extra)[0]}); pass its final.pth"
        )
    for kind in ("weight", "bias"):
        name = f"parameter_head.output.{kind}"
        renamed[name] = own_rows(renamed[name], config)
    detector.load_state_dict(renamed)
    return detector.eval()


def own_name(name: str) -> str:
    """Translate a name of the official checkpoint; unknown names come back unchanged."""
    if name in _OWN_NAMES:
        return _OWN_NAMES[name]
    module, _, leaf = name.rpartition(".")
    if module in _OWN_NAMES:
        return f"{_OWN_NAMES[module]}.{leaf}"
    layer, _, rest = name.partition(".")
    return f"backbone.{_STAGE_OF_LAYER[layer]}.{rest}" if layer in _STAGE_OF_LAYER else name


def own_rows(rows: Tensor, config: DetectorConfig) -> Tensor:
    """Bring the rows of the last layer into `ParameterLayout`'s order, with y down and meters."""
    layout = config.layout
    num_coefficients = layout.num_identity + layout.num_expression + layout.num_albedo
    sizes = [num_coefficients, 3, NUM_COLORS * NUM_SH_BANDS, 3]
    coefficients, angles, light, translation = rows.split(sizes)
    signs = torch.tensor([1.0, -1.0, METERS_PER_DECIMETER], dtype=rows.dtype)
    translation = translation * signs.view(-1, *[1] * (rows.ndim - 1))
    by_band = light.unflatten(0, (NUM_COLORS, NUM_SH_BANDS)).transpose(0, 1).flatten(0, 1)
    return torch.cat([coefficients, angles, translation, by_band])
