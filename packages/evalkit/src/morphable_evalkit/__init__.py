"""Every evaluation protocol of 3D face reconstruction, in NumPy; its input is the prediction file."""

from morphable_evalkit.alignment.faces import FacesSummary, PlacementSummary, summarize_faces, summarize_placement
from morphable_evalkit.alignment.pose import PoseScores, PoseSummary, score_pose, summarize_pose
from morphable_evalkit.alignment.scores import Scores, check_coverage, score_alignment
from morphable_evalkit.datasets.catalog import DatasetConfig, open_dataset
from morphable_evalkit.datasets.ground_truth import GroundTruth
from morphable_evalkit.measures.dense import DENSE_DEFINITIONS, dense_error
from morphable_evalkit.measures.head_pose import angles_from_rotation, look_at_rotation, rotation_from_angles
from morphable_evalkit.measures.points import nme
from morphable_evalkit.measures.summaries import Summary, summarize
from morphable_evalkit.predictions.checks import Problem, check_predictions
from morphable_evalkit.predictions.file import Predictions, read_predictions, write_predictions
from morphable_evalkit.predictions.format import FORMAT_VERSION
from morphable_evalkit.reports.comparison import Comparison, compare_results
from morphable_evalkit.reports.results import Result, read_results, write_results
from morphable_evalkit.scans.errors import ScanCase, ScanError, measure_scan
from morphable_evalkit.scans.mesh import Mesh
from morphable_evalkit.scans.mesh_files import read_mesh
from morphable_evalkit.scans.protocols import SCAN_PROTOCOLS, ScanProtocol
from morphable_evalkit.scans.surface import TriangleSurface

__all__ = [
    "DENSE_DEFINITIONS",
    "FORMAT_VERSION",
    "SCAN_PROTOCOLS",
    "Comparison",
    "DatasetConfig",
    "FacesSummary",
    "GroundTruth",
    "Mesh",
    "PlacementSummary",
    "PoseScores",
    "PoseSummary",
    "Predictions",
    "Problem",
    "Result",
    "ScanCase",
    "ScanError",
    "ScanProtocol",
    "Scores",
    "Summary",
    "TriangleSurface",
    "angles_from_rotation",
    "check_coverage",
    "check_predictions",
    "compare_results",
    "dense_error",
    "look_at_rotation",
    "measure_scan",
    "nme",
    "open_dataset",
    "read_mesh",
    "read_predictions",
    "read_results",
    "rotation_from_angles",
    "score_alignment",
    "score_pose",
    "summarize",
    "summarize_faces",
    "summarize_placement",
    "summarize_pose",
    "write_predictions",
    "write_results",
]
