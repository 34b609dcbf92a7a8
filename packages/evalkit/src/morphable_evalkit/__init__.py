"""Every evaluation protocol of 3D face reconstruction, in NumPy; its input is the prediction file."""

from morphable_evalkit.alignment.faces import summarize_faces, summarize_placement
from morphable_evalkit.alignment.pose import score_pose, summarize_pose
from morphable_evalkit.alignment.scores import Scores, check_coverage, score_alignment
from morphable_evalkit.datasets.catalog import DatasetConfig, open_dataset
from morphable_evalkit.datasets.ground_truth import GroundTruth
from morphable_evalkit.measures.dense import dense_error
from morphable_evalkit.measures.points import nme
from morphable_evalkit.measures.summaries import Summary, summarize
from morphable_evalkit.predictions.checks import check_predictions
from morphable_evalkit.predictions.file import Predictions, read_predictions, write_predictions
from morphable_evalkit.reports.comparison import compare_results
from morphable_evalkit.reports.results import Result, read_results, write_results
from morphable_evalkit.scans.errors import ScanCase, measure_scan
from morphable_evalkit.scans.mesh import Mesh
from morphable_evalkit.scans.mesh_files import read_mesh
from morphable_evalkit.scans.protocols import SCAN_PROTOCOLS

__all__ = [
    "SCAN_PROTOCOLS",
    "DatasetConfig",
    "GroundTruth",
    "Mesh",
    "Predictions",
    "Result",
    "ScanCase",
    "Scores",
    "Summary",
    "check_coverage",
    "check_predictions",
    "compare_results",
    "dense_error",
    "measure_scan",
    "nme",
    "open_dataset",
    "read_mesh",
    "read_predictions",
    "read_results",
    "score_alignment",
    "score_pose",
    "summarize",
    "summarize_faces",
    "summarize_placement",
    "summarize_pose",
    "write_predictions",
    "write_results",
]
