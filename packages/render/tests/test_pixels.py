import pytest
import torch

from morphable.geometry import camera_from_model, rotation_from_vector
from morphable_render import render_faces, render_pixels


@pytest.fixture
def batch(reference):
    """Four balls in three images: two in image 2, one in image 0, none in image 1, one in image 3."""
    vertices, triangles = reference.sphere(12, 20, 0.2)
    position = torch.tensor([[0.1, 0.0, 1.5], [0.0, 0.05, 2.0], [-0.1, 0.0, 1.0], [0.0, 0.0, 1.2]])
    vertices = torch.tensor(vertices.tolist()) + position[:, None]
    generator = torch.Generator().manual_seed(0)
    albedo = torch.rand(vertices.shape, generator=generator)
    light = torch.randn(4, 9, 3, generator=generator) * 0.1
    return vertices, torch.as_tensor(triangles), albedo, light, torch.tensor([2, 2, 0, 3])


def render(batch, **changes):
    vertices, triangles, albedo, light, image_index = batch
    settings = {"image_index": image_index, "num_images": 4, "focal_px": 60.0, "size_hw": (24, 32)} | changes
    return render_pixels(vertices, triangles, albedo, illumination=light, **settings)


def test_equals_one_image_at_a_time(batch):
    vertices, triangles, albedo, light, image_index = batch
    background = torch.rand(4, 24, 32, 3)
    images = render(batch).over(background)
    for k in range(4):
        mine = image_index == k
        one = render_faces(
            vertices[mine], triangles, albedo[mine], illumination=light[mine], focal_px=60.0, background=background[k]
        )
        torch.testing.assert_close(images[k], one.rgb)


def test_sample_reads_what_over_writes(batch):
    rendered = render(batch)
    images = rendered.over(torch.zeros(4, 24, 32, 3))
    torch.testing.assert_close(rendered.sample(images), rendered.rgb)
    torch.testing.assert_close(rendered.sample(rendered.mask), torch.ones(len(rendered.rgb), dtype=torch.bool))
    per_image = rendered.per_image(torch.ones(len(rendered.rgb)))
    torch.testing.assert_close(per_image, rendered.mask.flatten(1).sum(1).float())
    assert per_image[1] == 0


def test_focal_length_per_image(batch):
    focal = torch.tensor([60.0, 60.0, 90.0, 60.0])
    mixed, plain = render(batch, focal_px=focal), render(batch)
    assert mixed.mask[2].sum() > 1.5 * plain.mask[2].sum()
    torch.testing.assert_close(mixed.mask[[0, 1, 3]], plain.mask[[0, 1, 3]])


def test_empty_batch_has_no_pixels_and_a_gradient(batch):
    vertices, triangles, albedo, light, image_index = batch
    vertices = vertices[:0].requires_grad_()
    rendered = render((vertices, triangles, albedo[:0], light[:0], image_index[:0]))
    assert len(rendered.rgb) == 0
    rendered.rgb.sum().backward()
    assert vertices.grad.shape == vertices.shape


def test_photometric_gradient_agrees_with_finite_differences(reference):
    """Loss of a smooth picture on interior pixels, by rotation, translation, albedo and light."""
    ball, triangles = reference.sphere(40, 60, 0.2)
    ball, triangles = torch.tensor(ball.tolist()).double(), torch.as_tensor(triangles)
    waves = 0.5 + 0.3 * torch.sin(12 * ball)

    def loss(parameters):
        cam = camera_from_model(ball, rotation_from_vector(parameters[:3]), parameters[3:6])[None]
        light = torch.zeros(1, 9, 3, dtype=torch.float64) + parameters[6]
        rendered = render_pixels(
            cam,
            triangles,
            (waves + parameters[7])[None],
            illumination=light,
            image_index=torch.zeros(1, dtype=torch.int64),
            num_images=1,
            focal_px=400.0,
            size_hw=(96, 96),
        )
        y, x = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
        target = torch.stack([torch.sin(x / 15), torch.cos(y / 15), torch.sin((x + y) / 20)], -1)[None].double()
        inside = torch.hypot(x - 48, y - 48)[None] < 30  # away from the silhouette, of radius 40 px
        weight = rendered.sample(inside).double()
        return (weight[:, None] * (rendered.rgb - rendered.sample(target)).square()).sum() / weight.sum()

    start = torch.tensor([0.3, -0.2, 0.1, 0.003, -0.002, 2.0, 0.05, 0.02], dtype=torch.float64)
    parameters = start.clone().requires_grad_()
    loss(parameters).backward()
    for k in range(8):
        step = torch.zeros(8, dtype=torch.float64)
        step[k] = 1e-4
        numeric = (loss(start + step) - loss(start - step)) / 2e-4
        # pixels that change their triangle see a kink of the interpolated colors: within 2 %
        assert parameters.grad[k].item() == pytest.approx(numeric.item(), rel=0.02), k


def test_wrong_number_of_faces_is_refused(batch):
    vertices, triangles, albedo, light, _ = batch
    with pytest.raises(Exception, match="image_index"):
        render((vertices, triangles, albedo, light, torch.tensor([0])))
    with pytest.raises(ValueError, match="image_index must be in"):
        render((vertices, triangles, albedo, light, torch.tensor([0, 1, 2, 4])))
