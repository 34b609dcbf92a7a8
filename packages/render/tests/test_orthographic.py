import pytest
import torch

from morphable.geometry import Pinhole
from morphable_render import rasterize
from morphable_render.orthographic import stand_in_pinhole


def test_stand_in_pinhole_rasterises_parallel_rays(reference):
    vertices, triangles = reference.sphere(12, 20, 30.0)
    points = torch.tensor((vertices + [40.0, 30.0, 0.0]).tolist())
    stand_in, focal = stand_in_pinhole(points, (64, 96))
    torch.testing.assert_close(Pinhole((64, 96), focal).project(stand_in), points[:, :2], atol=1e-3, rtol=0)
    result = rasterize(stand_in, torch.as_tensor(triangles), focal_px=focal, size_hw=(64, 96))
    assert result.mask[30, 40]
    # float32 at a distance of 70000 px: 1/128 px of depth; a 9-degree facet lies 0.4 px deep
    assert result.depth_m[30, 40].item() - focal == pytest.approx(-30.0, abs=0.5)
