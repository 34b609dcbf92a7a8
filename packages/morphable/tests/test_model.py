"""The model class: decoding, symmetry, landmarks, normals, regions, refusals."""

from dataclasses import replace

import pytest
import torch

from morphable import ModelData, MorphableModel, SurfacePoints


def coefficients(model: MorphableModel, *batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return (
        torch.randn(*batch, model.num_identity, generator=generator, dtype=model.mean.dtype),
        torch.rand(*batch, model.num_expression, generator=generator, dtype=model.mean.dtype),
        torch.randn(*batch, model.num_albedo, generator=generator, dtype=model.mean.dtype),
    )


def triangle_model(**changes: object) -> MorphableModel:
    """One triangle in the plane z = 0, one mode each."""
    mean = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    move_x, move_y = torch.zeros(2, 1, 3, 3)
    move_x[0, :, 0] = 0.5
    move_y[0, 1, 1] = 2.0
    content = ModelData(
        name="triangle",
        mean=mean,
        identity_basis=move_x,
        expression_basis=move_y,
        mean_albedo=torch.full((3, 3), 0.5),
        albedo_basis=torch.full((1, 3, 3), 0.25),
        triangles=torch.tensor([[0, 1, 2]]),
        landmarks={"middle": SurfacePoints(torch.tensor([0]), torch.tensor([[0.25, 0.5, 0.25]]))},
    )
    return MorphableModel(replace(content, **changes))


def test_shape_is_mean_plus_modes():
    # vertex 1: (1, 0, 0) + 2 * (0.5, 0, 0) + 0.5 * (0, 2, 0) = (2, 1, 0)
    vertices = triangle_model().decode_shape(torch.tensor([2.0]), torch.tensor([0.5]))
    torch.testing.assert_close(vertices, torch.tensor([[1.0, 0, 0], [2.0, 1.0, 0], [1.0, 1.0, 0]]))


def test_albedo_is_mean_plus_modes_unclamped():
    # 0.5 + 3 * 0.25 = 1.25
    torch.testing.assert_close(triangle_model().decode_albedo(torch.tensor([3.0])), torch.full((3, 3), 1.25))


def test_landmark_is_the_weighted_mean_of_its_corners():
    # 0.25 * (0, 0, 0) + 0.5 * (1, 0, 0) + 0.25 * (0, 1, 0)
    model = triangle_model()
    torch.testing.assert_close(model.landmarks(model.mean, "middle"), torch.tensor([[0.5, 0.25, 0.0]]))


def test_points_of_a_model_without_albedo_modes():
    """FLAME has none."""
    points = SurfacePoints(torch.tensor([0]), torch.tensor([[0.25, 0.5, 0.25]]))
    few = triangle_model(albedo_basis=torch.zeros(0, 3, 3)).restrict(points)
    # vertex 1 moves to (2, 1, 0), vertices 0 and 2 by (1, 0, 0) and none: the sum with the weights
    found = few.decode_shape(torch.tensor([2.0]), torch.tensor([0.5]))
    torch.testing.assert_close(found, torch.tensor([[1.5, 0.75, 0.0]]))
    torch.testing.assert_close(few.decode_albedo(torch.zeros(0)), torch.full((1, 3), 0.5))


def test_normals_of_a_right_angle_are_weighted_by_area():
    # Triangle (0, 1, 2) in z = 0 has twice the area 1 and normal +z; (0, 2, 3) in x = 0 with corner 3 = (0, 0, 2) has
    # twice the area 2 and normal +x. On the common edge: (2, 0, 1) / sqrt(5).
    mean = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    empty = torch.zeros(0, 4, 3)
    model = MorphableModel(
        ModelData(
            name="two",
            mean=mean,
            identity_basis=empty,
            expression_basis=empty,
            mean_albedo=mean,
            albedo_basis=empty,
            triangles=torch.tensor([[0, 1, 2], [0, 2, 3]]),
        )
    )
    edge = torch.tensor([2.0, 0.0, 1.0]) / 5**0.5
    expected = torch.stack([edge, torch.tensor([0.0, 0.0, 1.0]), edge, torch.tensor([1.0, 0.0, 0.0])])
    torch.testing.assert_close(model.normals(mean), expected)


def test_batched_equals_single(model):
    identity, expression, albedo = coefficients(model, 2, 3)
    vertices, colors = model(identity, expression, albedo)
    moved = vertices * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor([0.0, 0.0, 1.0])
    for row in range(2):
        for col in range(3):
            single = model.decode_shape(identity[row, col], expression[row, col])
            torch.testing.assert_close(vertices[row, col], single)
            torch.testing.assert_close(colors[row, col], model.decode_albedo(albedo[row, col]))
            torch.testing.assert_close(model.normals(vertices)[row, col], model.normals(single))
            torch.testing.assert_close(model.landmarks(vertices, "aflw21")[row, col], model.landmarks(single, "aflw21"))
            torch.testing.assert_close(
                model.contour_landmarks(moved)[row, col], model.contour_landmarks(moved[row, col])
            )


def test_leading_axes_broadcast(model):
    identity, expression, _ = coefficients(model, 5)
    sequence = model.decode_shape(identity[0], expression)
    torch.testing.assert_close(sequence, model.decode_shape(identity[:1].expand(5, -1), expression))


def test_subdivision_adds_the_midpoint(subdivided):
    # the added vertex is the mean of the ends of the first triangle's first edge, for shape and color
    model = MorphableModel(subdivided)
    vertices, colors = model(*coefficients(model, 2))
    ends = subdivided.triangles[0, :2]
    torch.testing.assert_close(vertices[:, -1], vertices[:, ends].mean(1))
    torch.testing.assert_close(colors[:, -1], colors[:, ends].mean(1))
    assert vertices.shape == (2, subdivided.mean.shape[0] + 1, 3)


def test_mirrored_coefficients_decode_to_the_mirrored_face(model):
    identity, expression, albedo = coefficients(model, 4)
    vertices, colors = model(identity, expression, albedo)
    flipped = model.decode_shape(model.flip_identity(identity), model.flip_expression(expression))
    torch.testing.assert_close(flipped, model.mirror(vertices))
    torch.testing.assert_close(model.decode_albedo(model.flip_albedo(albedo)), colors[:, model.mirror_vertices])


def test_normals_turn_with_the_face(model):
    vertices = model.decode_shape(*coefficients(model, 2)[:2])
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1))).Q
    rotation = rotation * torch.linalg.det(rotation)
    torch.testing.assert_close(model.normals(vertices @ rotation.T), model.normals(vertices) @ rotation.T)


def test_normals_of_the_face_point_out(model):
    assert bool((model.normals(model.mean)[..., 2].median() > 0).all())


def test_decode_landmarks_and_normals_have_right_gradients(subdivided):
    model = MorphableModel(subdivided).double()
    identity, expression, albedo = (c.requires_grad_() for c in coefficients(model, 2))
    assert torch.autograd.gradcheck(model.decode_shape, (identity, expression), fast_mode=True)
    assert torch.autograd.gradcheck(model.decode_albedo, (albedo,), fast_mode=True)
    for scheme in model.landmark_schemes:
        assert torch.autograd.gradcheck(
            lambda i, e, scheme=scheme: model.landmarks(model.decode_shape(i, e), scheme),
            (identity, expression),
            fast_mode=True,
        )
    assert torch.autograd.gradcheck(
        lambda i, e: model.normals(model.decode_shape(i, e)), (identity, expression), fast_mode=True
    )


def test_contour_landmarks_have_right_gradients_away_from_switches(model):
    model = model.double()
    identity, expression, _ = (c.requires_grad_() for c in coefficients(model, 2))
    flip = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)

    def contour(i: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        return model.contour_landmarks(model.decode_shape(i, e) * flip + torch.tensor([0.0, 0.0, 1.0]))

    assert torch.autograd.gradcheck(contour, (identity, expression), fast_mode=True)


def test_decoding_stays_in_float32_under_autocast_and_for_half_coefficients(model):
    identity, expression, albedo = coefficients(model, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vertices = model.decode_shape(identity, expression)
        colors = model.decode_albedo(albedo)
    assert vertices.dtype == colors.dtype == torch.float32
    torch.testing.assert_close(vertices, model.decode_shape(identity, expression))
    assert model.decode_shape(identity.half(), expression.half()).dtype == torch.float32


def test_model_follows_to_and_leaves_checkpoints_alone(model):
    assert model.to(torch.float64).decode_shape(*coefficients(model, 1)[:2]).dtype == torch.float64
    assert model.triangles.dtype == torch.int64
    assert model.state_dict() == {}
    assert model.to("meta").mean.device.type == "meta"


def test_half_stored_bases_decode_in_float32(data):
    half = MorphableModel(replace(data, identity_basis=data.identity_basis.half()))
    full = MorphableModel(data)
    identity, expression, _ = coefficients(full, 3)
    decoded = half.decode_shape(identity, expression)
    assert decoded.dtype == torch.float32
    # float16 errs by 2^-11 of a basis entry (about 0.01 m at most), times four coefficients of about one
    torch.testing.assert_close(decoded, full.decode_shape(identity, expression), atol=2e-5, rtol=0)


def test_regions_and_parts(model, data):
    assert torch.equal(model.region("upper"), data.regions["upper"])
    lips = data.triangles[data.part_labels == 1].unique()
    assert torch.equal(model.region("lips").nonzero()[:, 0], lips)
    with pytest.raises(ValueError, match=r"upper, skin, lips.*got 'ear'"):
        model.region("ear")


def test_model_without_extras_says_what_is_missing():
    model = triangle_model()
    with pytest.raises(ValueError, match="identity_flip"):
        model.flip_identity(torch.zeros(1))
    with pytest.raises(ValueError, match="mirror_vertices"):
        model.mirror(model.mean)
    with pytest.raises(ValueError, match="contour lines"):
        model.contour_landmarks(model.mean)
    assert model.landmark_schemes == ("middle",)
    assert model.expression_names == ("expression_000",)
    assert model.uv.shape == (3, 2)
    assert bool(((model.uv >= 0) & (model.uv <= 1)).all())


def test_wrong_number_of_coefficients_is_refused(model):
    with pytest.raises(ValueError, match=r"identity must have 4 coefficients.*got 5"):
        model.decode_shape(torch.zeros(5), torch.zeros(3))
    with pytest.raises(ValueError, match="albedo must have 2"):
        model.decode_albedo(torch.zeros(1))


def test_unknown_and_sliding_schemes_are_refused(model):
    with pytest.raises(ValueError, match=r"scheme must be one stored.*ibug68_3d.*got 'menpo39'"):
        model.landmarks(model.mean, "menpo39")
    with pytest.raises(ValueError, match="contour_landmarks"):
        model.landmarks(model.mean, "ibug68_contour")
