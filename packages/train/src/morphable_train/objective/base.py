"""What both objectives are made of and how they are called."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from morphable import MorphableModel
from morphable_detector_head.layout import ParameterLayout
from morphable_train.configs.stages import LossConfig
from morphable_train.data.batch import Batch
from morphable_train.data.surface import SurfaceSample
from morphable_train.objective.cells import CellTargets, Counts


class CellObjective(nn.Module, ABC):
    """Computes the loss terms of a batch from the parameters at its cells."""

    weights: Float[Tensor, " 68"]
    """How much each of the 68 points counts."""

    def __init__(
        self,
        model: MorphableModel,
        surface: SurfaceSample,
        layout: ParameterLayout,
        config: LossConfig,
        embedder: nn.Module | None = None,
    ) -> None:
        """Make the objective.

        Args:
            model: The face model.
            surface: Points of the face model that are compared.
            layout: Meaning of the parameter head's channels.
            config: Weights of the terms.
            embedder: Frozen network of the perception term; without it there is none.
        """
        super().__init__()
        self.embedder = embedder
        self.model, self.surface, self.layout, self.config = model, surface, layout, config
        self.register_buffer("weights", self._point_weights(), persistent=False)

    @abstractmethod
    def forward(
        self,
        channels: tuple[Float[Tensor, "batch top channels"], ...],
        center_logits: Float[Tensor, "batch rows cols"] | None,
        batch: Batch,
        cells: CellTargets,
        counts: Counts,
        photometric: bool,
    ) -> dict[str, Float[Tensor, ""]]:
        """Return the weighted terms by name; their sum is minimized.

        Args:
            channels: Raw parameters at the cells, estimate after estimate; the last is the network's answer.
            center_logits: The center head's output; None without a center loss.
            batch: Pictures and faces.
            cells: Which cell describes which face.
            counts: Totals of the step that sums are divided by.
            photometric: Compare colors in this step.
        """

    @abstractmethod
    def _point_weights(self) -> Float[Tensor, " 68"]:
        """Return how much each of the 68 points counts."""
