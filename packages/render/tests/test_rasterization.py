import numpy as np
import pytest
import torch

from morphable.geometry import Pinhole
from morphable_render import rasterize, rasterize_faces
from morphable_render.rasterization import Fragments


def tensor(vertices):
    return torch.as_tensor(vertices, dtype=torch.float32)


def scenes(reference):
    """Name, vertices in the camera frame, triangles, focal length."""
    sphere, sphere_triangles = reference.sphere(10, 16, 0.4)
    cube, cube_triangles = reference.cube(0.6)
    turn = np.array([[0.8, 0.0, 0.6], [0.36, 0.8, -0.48], [-0.48, 0.6, 0.64]])
    generator = np.random.default_rng(0)
    soup = generator.normal(size=(60, 3)) * [0.5, 0.5, 0.3] + [0, 0, 2]
    grid, grid_triangles = reference.grid(13, 17, width=0.7, height=0.6, bulge=0.2)
    room, room_triangles = reference.cube(3.0)  # the camera stands inside: triangles cross its plane
    return [
        ("sphere", sphere + [0.1, -0.05, 2.0], sphere_triangles, 60.0),
        ("cube", cube @ turn.T + [0, 0, 2.0], cube_triangles, 60.0),
        ("grid", grid + [0.013, 0.007, 1.0], grid_triangles, 50.0),
        ("soup", soup, np.arange(60).reshape(20, 3), 50.0),
        ("room", room @ turn.T, room_triangles, 30.0),
    ]


@pytest.mark.parametrize("number", range(5))
def test_agrees_with_float64_reference_pixel_for_pixel(reference, number):
    name, vertices, triangles, focal = scenes(reference)[number]
    vertices = tensor(vertices)
    result = rasterize(vertices, torch.as_tensor(triangles), focal_px=focal, size_hw=(45, 64))
    index, barycentric, depth, margin = reference.rasterize(vertices, triangles, focal_px=focal, size_hw=(45, 64))
    clear = margin > 1e-9  # everything but exact ties
    assert clear.mean() > 0.97, name
    assert result.mask.any()
    np.testing.assert_array_equal(result.mask.numpy()[clear], (index >= 0)[clear])
    same = clear & (index >= 0)
    np.testing.assert_array_equal(result.triangle.numpy()[same], index[same])
    np.testing.assert_allclose(result.depth_m.numpy()[same], depth[same], rtol=2e-7)
    np.testing.assert_allclose(result.barycentric.numpy()[same], barycentric[same], atol=1e-6)


def test_shared_edges_through_pixel_centres_are_covered_once():
    # 8x8 unit squares of pixels, each of two triangles, with corners exactly on pixel centers.
    corners = torch.arange(9) + 0.5
    x, y = torch.meshgrid(corners, corners, indexing="xy")
    focal, size = 16.0, (9, 9)
    vertices = torch.stack([(x - 4.5) / focal, (y - 4.5) / focal, torch.ones_like(x)], -1).reshape(-1, 3)
    i = torch.arange(81).reshape(9, 9)
    a, b, c, d = (k.flatten() for k in (i[:-1, :-1], i[:-1, 1:], i[1:, :-1], i[1:, 1:]))
    triangles = torch.cat([torch.stack([a, b, c], -1), torch.stack([b, d, c], -1)])
    count = torch.zeros(size)
    for triangle in triangles:  # one at a time: how many triangles claim each pixel
        count += rasterize(vertices, triangle[None], focal_px=focal, size_hw=size).mask
    # Rows 0-7 and columns 0-7 once each: the sheet's bottom and right edges belong to nobody here.
    expected = torch.zeros(size)
    expected[:8, :8] = 1
    torch.testing.assert_close(count, expected)


def test_winding_does_not_matter_and_repeated_corners_are_ignored(reference):
    vertices, triangles = reference.sphere(8, 12, 0.4)
    vertices, triangles = tensor(vertices + [0, 0, 2]), torch.as_tensor(triangles)
    plain = rasterize(vertices, triangles, focal_px=60.0, size_hw=(40, 40))
    flipped = rasterize(vertices, triangles.flip(1), focal_px=60.0, size_hw=(40, 40))
    torch.testing.assert_close(flipped.triangle, plain.triangle)
    torch.testing.assert_close(flipped.barycentric.flip(-1), plain.barycentric)
    padded = torch.cat([triangles, torch.zeros(5, 3, dtype=torch.int64)])
    torch.testing.assert_close(rasterize(vertices, padded, focal_px=60.0, size_hw=(40, 40)).mask, plain.mask)


def test_sphere_depth_normal_and_outline_are_analytic(reference):
    vertices, triangles = reference.sphere(120, 240, 0.5)
    distance, focal = 2.0, 100.0
    result = rasterize(
        tensor(vertices + [0, 0, distance]), torch.as_tensor(triangles), focal_px=focal, size_hw=(64, 64)
    )
    row, col = np.mgrid[:64, :64] + 0.5
    ray = np.stack([(col - 32) / focal, (row - 32) / focal, np.ones_like(col)], -1)
    # |z ray - (0, 0, d)| = r: the nearer root of z^2 |ray|^2 - 2 z d + d^2 - r^2 = 0
    square = (ray**2).sum(-1)
    discriminant = distance**2 - square * (distance**2 - 0.25)
    inside = discriminant > 0.01
    expected = (distance - np.sqrt(np.maximum(discriminant, 0))) / square
    assert result.mask.numpy()[inside].all()
    assert not result.mask.numpy()[discriminant < 0].any()
    # 240 segments: the flat triangles lie at most r (1 - cos(pi/240)) / cos(60 deg) = 0.1 mm behind the sphere
    np.testing.assert_allclose(result.depth_m.numpy()[inside], expected[inside], atol=5e-4)


def test_barycentrics_reproduce_the_pixel(reference):
    vertices, triangles = reference.sphere(10, 16, 0.4)
    vertices, triangles = tensor(vertices + [0, 0.1, 1.5]), torch.as_tensor(triangles)
    result = rasterize(vertices, triangles, focal_px=80.0, size_hw=(50, 70))
    points = (vertices[triangles[result.triangle]] * result.barycentric[..., None]).sum(-2)[result.mask]
    row, col = result.mask.nonzero(as_tuple=True)
    torch.testing.assert_close(points[:, 2], result.depth_m[result.mask])
    # float32 barycentrics: 1e-4 px
    torch.testing.assert_close(
        Pinhole((50, 70), 80.0).project(points), torch.stack([col, row], -1) + 0.5, atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 37), (29, 1), (7, 3), (130, 64)])
def test_any_size_and_number_of_threads_give_the_same(reference, size_hw):
    vertices, triangles = reference.sphere(8, 12, 0.8)
    vertices, triangles = tensor(vertices + [0, 0, 2]), torch.as_tensor(triangles)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(rasterize(vertices, triangles, focal_px=40.0, size_hw=size_hw))
    finally:
        torch.set_num_threads(before)
    assert results[0].mask.shape == size_hw
    for other in results[1:]:
        assert all(torch.equal(getattr(other, f), getattr(results[0], f)) for f in Fragments.__dataclass_fields__)


def test_batch_equals_single_also_with_different_meshes(reference):
    sphere, sphere_triangles = reference.sphere(6, 8, 0.4)
    cube, cube_triangles = reference.cube(0.5)
    vertices = torch.zeros(2, len(sphere), 3)
    vertices[0], vertices[1, : len(cube)] = tensor(sphere + [0, 0, 2]), tensor(cube + [0.1, 0, 2])
    triangles = torch.zeros(2, len(sphere_triangles), 3, dtype=torch.int64)
    triangles[0], triangles[1, : len(cube_triangles)] = (
        torch.as_tensor(sphere_triangles),
        torch.as_tensor(cube_triangles),
    )
    focal = torch.tensor([50.0, 70.0])
    both = rasterize(vertices, triangles, focal_px=focal, size_hw=(32, 32))
    for k in range(2):
        one = rasterize(vertices[k], triangles[k], focal_px=focal[k], size_hw=(32, 32))
        for field in ("triangle", "barycentric", "depth_m", "mask"):
            torch.testing.assert_close(getattr(both, field)[k], getattr(one, field))
    assert (both.face[1][both.mask[1]] == 1).all()
    # A nested batch is the same thing in another shape.
    nested = rasterize(vertices[:, None], triangles[:, None], focal_px=focal[:, None], size_hw=(32, 32))
    torch.testing.assert_close(nested.triangle, both.triangle[:, None])


def test_a_second_picture_leaves_the_first_alone(reference):
    """Memory that is kept between calls is none of the results'."""
    vertices, triangles = reference.sphere(8, 12, 0.5)
    vertices, triangles = tensor(vertices + [0, 0, 2]), torch.as_tensor(triangles)
    settings = {"focal_px": 40.0, "size_hw": (32, 32)}
    first = rasterize(vertices, triangles, **settings)
    before = {name: getattr(first, name).clone() for name in Fragments.__dataclass_fields__}
    rasterize(vertices + 0.2, triangles, **settings)
    again = rasterize(vertices, triangles, **settings)
    for name, layer in before.items():
        assert torch.equal(getattr(first, name), layer)
        assert torch.equal(getattr(again, name), layer)


def test_nearer_face_hides_the_farther_one():
    square = torch.tensor([[-0.2, -0.2, 0.0], [0.2, -0.2, 0.0], [-0.2, 0.2, 0.0], [0.2, 0.2, 0.0]])
    triangles = torch.tensor([[0, 1, 2], [1, 3, 2]])
    near, far = square + torch.tensor([0.1, 0.0, 1.0]), square * 2 + torch.tensor([-0.1, 0.0, 2.0])
    image_index = torch.tensor([1, 1, 0])
    vertices = torch.stack([far, near, near])
    result = rasterize_faces(vertices, triangles, image_index, focal_px=40.0, size_hw=(32, 32), num_images=3)
    # near spans x = 16 + 40 * (-0.1 .. 0.3) = 12 .. 28; far 16 + 20 * (-0.5 .. 0.3) = 6 .. 22
    row = result.face[1, 16]
    assert result.mask[1, 16].nonzero().flatten().tolist() == list(range(6, 28))
    assert row[6:12].tolist() == [0] * 6
    assert row[12:28].tolist() == [1] * 16
    assert (result.face[0][result.mask[0]] == 2).all()
    assert not result.mask[2].any()


def test_near_plane_cuts():
    vertices = torch.tensor([[0.0, -1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, -3.0]]) + torch.tensor([0.3, 0.0, 0.0])
    result = rasterize(vertices, torch.tensor([[0, 1, 2]]), focal_px=20.0, size_hw=(64, 64))
    # The triangle lies in the plane x = 0.3: depth at column c is 0.3 f / (c + 0.5 - 32), up to 1 m.
    assert result.mask.any()
    row, col = result.mask.nonzero(as_tuple=True)
    torch.testing.assert_close(result.depth_m[row, col], 6.0 / (col + 0.5 - 32))
    behind = rasterize(vertices - torch.tensor([0, 0, 2.0]), torch.tensor([[0, 1, 2]]), focal_px=20.0, size_hw=(64, 64))
    assert not behind.mask.any()


def test_bad_input_is_named():
    vertices, triangles = torch.rand(4, 3) + 1, torch.tensor([[0, 1, 2]])
    with pytest.raises(ValueError, match="vertices_cam must be finite"):
        rasterize(vertices.where(vertices < 1.5, torch.nan), triangles, focal_px=9.0, size_hw=(8, 8))
    for index in (4, -1, 2**40):
        with pytest.raises(ValueError, match="triangles must index vertices_cam"):
            rasterize(vertices, torch.tensor([[0, 1, index]]), focal_px=9.0, size_hw=(8, 8))
    with pytest.raises(ValueError, match="size_hw must be at least"):
        rasterize(vertices, triangles, focal_px=9.0, size_hw=(0, 8))
    with pytest.raises(ValueError, match="focal_px must be positive"):
        rasterize(vertices, triangles, focal_px=0.0, size_hw=(8, 8))
    with pytest.raises(ValueError, match="image_index must be in"):
        rasterize_faces(vertices[None], triangles, torch.tensor([1]), focal_px=9.0, size_hw=(8, 8))
    with pytest.raises(Exception, match="vertices_cam"):
        rasterize(torch.rand(4, 2), triangles, focal_px=9.0, size_hw=(8, 8))
