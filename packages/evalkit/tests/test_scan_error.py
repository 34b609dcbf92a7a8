import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from morphable_evalkit.scans.errors import ScanCase, measure_scan, scan_region
from morphable_evalkit.scans.mesh import Mesh
from morphable_evalkit.scans.protocols import SCAN_PROTOCOLS, unit_of
from morphable_evalkit.scans.registration import Similarity

METRIC = Similarity(1.0, Rotation.from_rotvec([0.2, -0.5, 0.1]).as_matrix(), np.array([30.0, -20.0, 400.0]))
SHRUNK = Similarity(0.013, METRIC.rotation, np.array([1.0, 2.0, 3.0]))


@pytest.fixture
def make_case(scan_faces):
    """A scan that is the face moved by given distances along its normals, and the face itself, moved away."""

    def make(pose: Similarity = METRIC, bumps=None, columns: int = 70, scan_columns: int = 70) -> ScanCase:
        vertices, triangles = scan_faces.face(columns)
        scan, scan_triangles = scan_faces.face(scan_columns)
        if bumps is not None:
            scan = scan + bumps(len(scan))[:, None] * scan_faces.normals(scan)
        return ScanCase(
            name="a",
            subject="subject_01",
            group="",
            scan=Mesh(scan, scan_triangles),
            scan_landmarks=scan_faces.landmarks(),
            prediction=Mesh(pose.apply(vertices), triangles),
            prediction_landmarks=pose.apply(scan_faces.landmarks()),
        )

    return make


@pytest.mark.parametrize("name", SCAN_PROTOCOLS)
def test_a_moved_copy_has_no_error_under_any_protocol(make_case, name):
    error = measure_scan(make_case(), SCAN_PROTOCOLS[name], unit="mm")
    assert error.value == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", [n for n, p in SCAN_PROTOCOLS.items() if p.scale == "free"])
def test_size_does_not_count_where_the_protocol_fits_it(make_case, name):
    error = measure_scan(make_case(SHRUNK), SCAN_PROTOCOLS[name], unit="mm")
    assert error.value == pytest.approx(0.0, abs=1e-6)
    assert error.scale == pytest.approx(1 / 0.013)


def test_size_counts_for_the_metrical_protocol_and_its_unit_is_converted(make_case):
    protocol = SCAN_PROTOCOLS["now-metrical"]
    in_metres = make_case(replace(METRIC, scale=0.001, translation=METRIC.translation / 1000))
    assert measure_scan(in_metres, protocol, unit="m").value == pytest.approx(0.0, abs=1e-6)
    too_small = make_case(replace(METRIC, scale=0.95))
    # 5 % smaller: most of it is a shift along the line of sight, 0.15 mm remain on this smooth bump
    assert measure_scan(too_small, protocol, unit="mm").value > 0.1
    assert measure_scan(too_small, SCAN_PROTOCOLS["now"], unit="mm").value == pytest.approx(0.0, abs=1e-6)


def _checkers(amount: float):
    """Half of the vertices out, half in, at random: no similarity can take that up."""
    return lambda count: amount * np.random.default_rng(0).choice([-1.0, 1.0], count)


@pytest.mark.parametrize(("name", "share"), [("now", 1.0), ("micc-deng", 1.0), ("df-mvr", 1.0), ("stirling", 1.0)])
def test_bumps_of_a_known_height_give_that_error(make_case, name, share):
    # |distance| is 0.5 everywhere, so mean, median and root mean square are 0.5; facets and the fit take up < 2 %
    error = measure_scan(make_case(bumps=_checkers(0.5), columns=140), SCAN_PROTOCOLS[name], unit="mm")
    assert error.value == pytest.approx(0.5 * share, rel=0.02)
    assert np.median(error.distance_mm) == pytest.approx(0.5, rel=0.02)


def test_gaussian_noise_gives_its_mean_and_its_root_mean_square(make_case):
    sigma = 0.4
    case = make_case(bumps=lambda count: np.random.default_rng(1).normal(0, sigma, count), columns=140)
    # mean of |N(0, s)| is s * sqrt(2 / pi) = 0.319; about 3,000 vertices: standard error 0.005
    assert measure_scan(case, SCAN_PROTOCOLS["now"], unit="mm").value == pytest.approx(0.319, abs=0.015)
    assert measure_scan(case, SCAN_PROTOCOLS["micc-deng"], unit="mm").value == pytest.approx(sigma, abs=0.02)


def test_the_interocular_measure_divides_by_the_scans_eye_distance(make_case, scan_faces):
    case = make_case(bumps=_checkers(0.9), columns=140)
    eyes = np.linalg.norm(scan_faces.landmarks()[0] - scan_faces.landmarks()[3])
    error = measure_scan(case, SCAN_PROTOCOLS["florence-prnet"], unit="mm")
    assert error.value == pytest.approx(error.distance_mm.mean() / eyes)
    assert eyes == pytest.approx(90.0)
    assert unit_of(SCAN_PROTOCOLS["florence-prnet"]) == "fraction"


def test_two_way_distance_sees_what_the_scan_lacks(make_case):
    # a hole in the scan: scan-to-mesh finds nothing wrong, mesh-to-scan does
    case = make_case()
    near = np.linalg.norm(case.scan.vertices[:, :2] - [30.0, 0.0], axis=1) < 25
    kept = ~near[case.scan.triangles].any(axis=1)
    used = np.unique(case.scan.triangles[kept])
    remap = np.full(len(near), -1)
    remap[used] = np.arange(len(used))
    holed = replace(case, scan=Mesh(case.scan.vertices[used], remap[case.scan.triangles[kept]]))
    assert measure_scan(holed, SCAN_PROTOCOLS["micc-deng"], unit="mm").value == pytest.approx(0.0, abs=1e-6)
    assert measure_scan(holed, SCAN_PROTOCOLS["micc-ganfit"], unit="mm").value > 0.1


def test_error_does_not_change_when_the_scan_moves(make_case):
    case = make_case(bumps=_checkers(0.5), columns=50, scan_columns=50)
    moved = replace(
        case,
        scan=Mesh(METRIC.apply(case.scan.vertices), case.scan.triangles),
        scan_landmarks=METRIC.apply(case.scan_landmarks),
    )
    for name in ("now", "now-metrical"):
        first = measure_scan(case, SCAN_PROTOCOLS[name], unit="mm").value
        assert measure_scan(moved, SCAN_PROTOCOLS[name], unit="mm").value == pytest.approx(first, rel=1e-4)


def test_region_of_now_by_hand(make_case):
    case = make_case()
    marks = np.array([[-40.0, 30, 0], [-20, 30, 0], [20, 30, 0], [40, 30, 0], [0, -10, 0], [-20, -40, 0], [20, -40, 0]])
    # bridge (0, 30, 0), nose bottom (0, -10, 0): center (0, 2, 0); radius 1.4 * (80 + 40) / 2 = 84
    points = np.array([[84.0, 2, 0], [84.001, 2, 0], [0, 86, 0], [0, -82, 0], [0, -82.001, 0]])
    probe = replace(case, scan_landmarks=marks, scan=Mesh(points, np.empty((0, 3), np.int64)))
    assert scan_region(probe, SCAN_PROTOCOLS["now"]).tolist() == [True, False, True, True, False]
    # 1.2 * 60 = 72
    assert scan_region(probe, SCAN_PROTOCOLS["stirling"]).tolist() == [False] * 5


def test_nose_sphere_edges_small_subject_and_forehead(make_case):
    case = make_case()
    tip = np.array([0.0, 0, 0])
    points = np.array([[95.0, 0, 0], [95.001, 0, 0], [0, 60, 0], [0, 61, 0]])
    probe = replace(case, nose_tip=tip, scan=Mesh(points, np.empty((0, 3), np.int64)))
    assert scan_region(probe, SCAN_PROTOCOLS["micc-deng"]).tolist() == [True, False, True, True]
    small = replace(probe, subject="subject_28")
    assert scan_region(small, SCAN_PROTOCOLS["micc-ganfit"]).tolist() == [False, False, True, False]
    flat = replace(probe, scan_landmarks=probe.scan_landmarks * [1, 1, 0])  # "up" is then +y exactly
    assert scan_region(flat, SCAN_PROTOCOLS["micc-deng"], forehead_mm=60.0).tolist() == [True, False, True, False]


def test_point_to_plane_forgives_a_scan_that_reaches_past_the_mesh(make_case):
    case = make_case()
    inner = np.abs(case.prediction.vertices @ METRIC.rotation)[:, 0] < 1e9
    small = (np.linalg.norm(METRIC.apply_inverse(case.prediction.vertices)[:, :2], axis=1) < 60) & inner
    cut = Mesh(case.prediction.vertices, case.prediction.triangles[small[case.prediction.triangles].all(axis=1)])
    short = replace(case, prediction=cut)
    plane = measure_scan(short, SCAN_PROTOCOLS["micc-deng"], unit="mm")
    surface = measure_scan(short, replace(SCAN_PROTOCOLS["micc-deng"], distance="surface"), unit="mm")
    assert plane.value < surface.value


def test_drawing_points_for_the_alignment_changes_nothing_that_is_printed(make_case, monkeypatch):
    from morphable_evalkit.scans import errors as scan_error

    case = make_case(bumps=_checkers(0.5), scan_columns=150)
    drawn = measure_scan(case, SCAN_PROTOCOLS["now"], unit="mm").value
    monkeypatch.setattr(scan_error, "_FIT_POINTS", 10**9)
    assert measure_scan(case, SCAN_PROTOCOLS["now"], unit="mm").value == pytest.approx(drawn, abs=0.01)


def test_unusable_input_is_named(make_case):
    case = make_case()
    cloud = replace(case, prediction=Mesh(case.prediction.vertices, np.empty((0, 3), np.int64)))
    with pytest.raises(ValueError, match="must hold triangles"):
        measure_scan(cloud, SCAN_PROTOCOLS["now"])
    broken = replace(case, prediction=Mesh(case.prediction.vertices * np.nan, case.prediction.triangles))
    with pytest.raises(ValueError, match="prediction of a must be finite"):
        measure_scan(broken, SCAN_PROTOCOLS["now"])
    metres = replace(case, scan=Mesh(case.scan.vertices + 1e5, case.scan.triangles))
    with pytest.raises(ValueError, match="must hold scan vertices, got none; are scan and landmarks in mm"):
        measure_scan(metres, SCAN_PROTOCOLS["now"])


@pytest.mark.slow
def test_a_scan_of_nows_size_takes_less_than_three_seconds(make_case):
    case = make_case(bumps=_checkers(0.3), columns=187, scan_columns=346)
    assert len(case.scan.vertices) > 119_000
    assert len(case.prediction.vertices) > 34_900
    start, cpu = time.perf_counter(), time.process_time()
    measure_scan(case, SCAN_PROTOCOLS["now"], unit="mm")
    # processor time of all threads: an upper bound for the wall time on a quiet machine
    assert min(time.perf_counter() - start, time.process_time() - cpu) < 3.0
