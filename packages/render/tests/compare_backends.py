"""Rasterize the same scenes with two backends and print the number of pixels that differ.

Run by test_backends.py: Triton's interpreter must be chosen before Triton is first imported.
"""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
import reference

from morphable_render import rasterize, rasterize_faces


def scenes():
    sphere, sphere_triangles = reference.sphere(6, 8, 0.4)
    turn = np.array([[0.8, 0.0, 0.6], [0.36, 0.8, -0.48], [-0.48, 0.6, 0.64]])
    soup = np.random.default_rng(0).normal(size=(60, 3)) * [0.5, 0.5, 0.3] + [0, 0, 2]
    corners = (np.stack(np.meshgrid(np.arange(7), np.arange(7)), -1).reshape(-1, 2) + 0.5 - 8) / 20
    on_centres = np.concatenate([corners, np.ones((49, 1))], 1)
    room, room_triangles = reference.cube(3.0)
    return [
        ("sphere", sphere + [0.1, -0.05, 2.0], sphere_triangles, 30.0),
        ("soup", soup, np.arange(60).reshape(20, 3), 20.0),
        ("ties", on_centres, reference.grid(7, 7)[1], 20.0),
        ("room", room @ turn.T, room_triangles, 10.0),
    ]


def differences(ours, theirs):
    """Count differing pixels and the largest difference of barycentrics and depth."""
    wrong = (ours.mask != theirs.mask) | (ours.triangle != theirs.triangle) | (ours.face != theirs.face)
    values = max(float((getattr(ours, k) - getattr(theirs, k)).abs().max()) for k in ("barycentric", "depth_m"))
    return int(wrong.sum()), values


def main(backend, device):
    if backend == "triton":
        from morphable_render import _raster_triton

        _raster_triton.PARALLEL_WORK = 300  # the interpreter runs programs one by one
    for name, vertices, triangles, focal in scenes():
        vertices = torch.tensor(vertices.tolist(), dtype=torch.float32)
        triangles = torch.as_tensor(triangles)
        settings = {"focal_px": focal, "size_hw": (16, 16)}
        ours = rasterize(vertices, triangles, backend="numba", **settings)
        theirs = rasterize(vertices.to(device), triangles.to(device), backend=backend, **settings)
        theirs = type(theirs)(*(getattr(theirs, k).cpu() for k in theirs.__dataclass_fields__))
        print(name, int(ours.mask.sum()), *differences(ours, theirs))  # noqa: T201
    ball, triangles = reference.sphere(6, 8, 0.2)
    position = torch.tensor([[0.1, 0.0, 1.5], [0.0, 0.0, 2.0], [0.0, 0.1, 1.0]])
    vertices = torch.tensor(ball.tolist()) + position[:, None]
    arguments = vertices, torch.as_tensor(triangles), torch.tensor([2, 2, 0])
    settings = {"focal_px": torch.tensor([20.0, 20.0, 30.0]), "size_hw": (16, 20), "num_images": 3}
    ours = rasterize_faces(*arguments, backend="numba", **settings)
    theirs = rasterize_faces(*(x.to(device) for x in arguments), backend=backend, **settings)
    theirs = type(theirs)(*(getattr(theirs, k).cpu() for k in theirs.__dataclass_fields__))
    print("batch", int(ours.mask.sum()), *differences(ours, theirs))  # noqa: T201
    for bad, index in ((vertices[0] * torch.nan, triangles), (vertices[0], triangles + 1)):
        try:
            rasterize(bad.to(device), torch.as_tensor(index).to(device), backend=backend, focal_px=9.0, size_hw=(4, 4))
        except ValueError as error:
            print("refused", 1, 0, 0, str(error).split()[0])  # noqa: T201


main(*sys.argv[1:])
