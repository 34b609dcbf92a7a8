"""A first guess for a fresh network: the mean face of the data instead of zeros."""

import torch
from torch import Tensor, nn

from morphable import FaceParameters
from morphable_detector_head import FaceDetector
from morphable_detector_head.cells import cells_from_parameters
from morphable_detector_head.layout import ParameterLayout
from morphable_train.data.batch import FaceTargets
from morphable_train.objective.cells import CellTargets


@torch.no_grad()
def start_from_mean(
    network: FaceDetector, faces: FaceTargets, cells: CellTargets, layout: ParameterLayout, size_hw: tuple[int, int]
) -> None:
    """Set the bias of the parameter head's last layer to the mean truth of some exactly labeled cells.

    Distance alone is several times off at zero; the first hundreds of steps would go into finding the mean.
    Albedo and light, which are not labeled, stay at zero. Without exact labels nothing changes.

    Args:
        network: Changed in place.
        faces: Faces of a batch.
        cells: Which cell describes which face.
        layout: Meaning of the channels.
        size_hw: Height and width of the input.
    """
    where = cells.valid
    truth = faces.select(cells.face[where])
    known = truth.exact
    if not bool(known.any()):
        return
    truth, cell_px = truth.select(known), cells.cell_px()[where][known]
    encoded = cells_from_parameters(_parameters(truth, layout), cell_px, size_hw, layout)
    output = network.parameter_head.output
    assert isinstance(output, nn.Conv2d)
    assert output.bias is not None
    output.bias.copy_(encoded.mean(0))


def _parameters(truth: FaceTargets, layout: ParameterLayout) -> FaceParameters:
    """The truth as parameters, with zeros for what is not labeled."""
    zeros: Tensor = truth.translation_m.new_zeros(len(truth), 1)
    return FaceParameters(
        identity=truth.identity,
        expression=truth.expression,
        albedo=zeros.expand(-1, layout.num_albedo),
        rotation_head=truth.rotation_head,
        translation_m=truth.translation_m,
        illumination=zeros[..., None].expand(-1, 9, 3),
    )
