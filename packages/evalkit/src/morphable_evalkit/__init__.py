"""Every evaluation protocol of 3D face reconstruction, in NumPy; its input is the prediction file."""

from morphable_evalkit.prediction_checks import Problem, check_predictions
from morphable_evalkit.prediction_format import FORMAT_VERSION
from morphable_evalkit.predictions import Predictions, read_predictions, write_predictions

__all__ = [
    "FORMAT_VERSION",
    "Predictions",
    "Problem",
    "check_predictions",
    "read_predictions",
    "write_predictions",
]
