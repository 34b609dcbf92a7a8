import torch

from morphable_reconstruct.drawing.textured import render_textured
from morphable_render.uv import UvMesh

SQUARE = torch.tensor([[-0.5, -0.5, 1.0], [0.5, -0.5, 1.0], [0.5, 0.5, 1.0], [-0.5, 0.5, 1.0]])
MESH = UvMesh(
    torch.tensor([[0, 2, 1], [0, 3, 2]]),
    torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]),
    torch.tensor([[0, 2, 1], [0, 3, 2]]),
)
GRAY = torch.full((12, 12, 3), 0.5)


def halves(size: int) -> torch.Tensor:
    """Red on the left, blue on the right."""
    texture = torch.zeros(size, size, 3)
    texture[:, : size // 2, 0] = 1.0
    texture[:, size // 2 :, 2] = 1.0
    return texture


def test_square_shows_its_texture_and_the_background_around_it():
    # 1 m wide at 1 m, focal length 8 px: pixels 2 to 9 of 12
    image = render_textured(SQUARE[None], MESH, [halves(8)], focal_px=8.0, background=GRAY)
    assert image.mask.nonzero().amin(0).tolist() == [2, 2]
    assert image.mask.nonzero().amax(0).tolist() == [9, 9]
    torch.testing.assert_close(image.rgb[5, 3], torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(image.rgb[5, 8], torch.tensor([0.0, 0.0, 1.0]))
    torch.testing.assert_close(image.rgb[0, 0], GRAY[0, 0])


def test_principal_point_moves_the_picture():
    texture = torch.rand(8, 8, 3, generator=torch.Generator().manual_seed(0))
    centered = render_textured(SQUARE[None], MESH, [texture], focal_px=8.0, background=GRAY)
    moved = render_textured(SQUARE[None], MESH, [texture], focal_px=8.0, background=GRAY, center_px=(8.0, 5.0))
    torch.testing.assert_close(moved.rgb[1:9, 4:], centered.rgb[2:10, 2:10], rtol=0, atol=1e-5)


def test_nearer_face_hides_the_farther():
    both = torch.stack([SQUARE * 2, SQUARE])
    textures = torch.stack([torch.zeros(8, 8, 3), torch.ones(8, 8, 3)])
    image = render_textured(both, MESH, list(textures), focal_px=8.0, background=GRAY)
    assert (image.face[image.mask] == 1).all()
    assert (image.rgb[image.mask] == 1).all()


def test_large_textures_are_shown_without_aliasing():
    checks = (torch.arange(64)[:, None] + torch.arange(64)) % 2
    image = render_textured(
        SQUARE[None], MESH, [checks[..., None].float().expand(64, 64, 3)], focal_px=8.0, background=GRAY
    )
    torch.testing.assert_close(image.rgb[3:9, 3:9], torch.full((6, 6, 3), 0.5))
