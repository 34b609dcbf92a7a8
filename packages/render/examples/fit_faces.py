"""Fit the open model to pictures by gradient descent: the differentiable renderer at work.

Faces with known coefficients are rendered; from the mean face, landmarks and the pictures' own colours lead back to
pose, shape, albedo and light. Run with a folder to save before/after pictures: `python fit_faces.py /tmp/fit`.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import morphable
import morphable_render as mr

SIZE, FOCAL_PX = 128, 500.0
PRIOR = {"identity": 3e-6, "expression": 1e-5, "albedo": 1e-6}
LANDMARK_WEIGHT = 0.3
"""Per squared pixel; the points are exact here."""
EARLY_PRIOR = 30.0
"""How many times stronger the prior is at the start, so that pose, not shape, explains what pose can."""


@dataclass(frozen=True)
class Face:
    """Everything that a picture of one face per image depends on."""

    identity: torch.Tensor
    expression: torch.Tensor
    albedo: torch.Tensor
    rotation_vector: torch.Tensor
    translation_m: torch.Tensor
    illumination: torch.Tensor


def random_faces(model, count, generator):
    """Draw plausible faces that look somewhere near the camera."""

    def normal(*shape):
        return torch.randn(count, *shape, generator=generator)

    return Face(
        identity=normal(model.num_identity),
        expression=torch.rand(count, model.num_expression, generator=generator) ** 6,
        albedo=normal(model.num_albedo),
        rotation_vector=normal(3) * torch.tensor([0.15, 0.3, 0.1]),
        translation_m=torch.tensor([0.0, 0.0, 1.0]) + normal(3) * torch.tensor([0.015, 0.015, 0.08]),
        illumination=normal(9, 1) * 0.06 + normal(9, 3) * 0.015,
    )


def mean_faces(model, count):
    """The start: mean face, frontal, one metre away, under soft white light."""
    return Face(
        torch.zeros(count, model.num_identity),
        torch.zeros(count, model.num_expression),
        torch.zeros(count, model.num_albedo),
        torch.zeros(count, 3),
        torch.tensor([0.0, 0.0, 1.0]).repeat(count, 1),
        torch.zeros(count, 9, 3),
    )


def render(model, face):
    """Return the rendered pixels and the 68 landmarks in pixels."""
    shape = model.decode_shape(face.identity, face.expression)
    rotation = mr.rotation_from_vector(face.rotation_vector)
    cam = mr.camera_from_model(shape, rotation, face.translation_m)
    count = len(shape)
    rendered = mr.render_pixels(
        cam,
        model.triangles,
        model.decode_albedo(face.albedo),
        illumination=face.illumination,
        image_index=torch.arange(count),
        num_images=count,
        focal_px=FOCAL_PX,
        size_hw=(SIZE, SIZE),
    )
    return rendered, mr.project(model.landmarks(cam), FOCAL_PX, (SIZE, SIZE))


def fit(model, pictures, landmarks_px, steps=400, pose_only=60):
    """Descend from the mean face: its pose by landmarks first, then everything by landmarks and colours."""
    face = mean_faces(model, len(pictures))
    rates = {"rotation_vector": 0.01, "translation_m": 0.003, "illumination": 0.01}
    leaves = {name: value.requires_grad_() for name, value in vars(face).items()}
    groups = [{"params": [leaf], "lr": rates.get(name, 0.03)} for name, leaf in leaves.items()]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [3 * group["lr"] for group in groups], total_steps=steps, pct_start=0.2
    )
    for step in range(steps):
        shape = {"identity": face.identity.detach(), "expression": face.expression.detach()}
        rendered, points = render(model, face if step >= pose_only else replace(face, **shape))
        loss = (points - landmarks_px).square().mean((1, 2)).sum() * LANDMARK_WEIGHT
        strength = 1 + (EARLY_PRIOR - 1) * (1 - step / steps) ** 2
        loss = loss + sum(strength * weight * leaves[name].square().sum() for name, weight in PRIOR.items())
        if step >= pose_only:
            error = (rendered.rgb - rendered.sample(pictures)).square().sum(-1).add(1e-6).sqrt()
            count = rendered.mask.flatten(1).sum(1).clamp(min=1)
            loss = loss + (rendered.per_image(error) / count).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return Face(**{name: leaf.detach() for name, leaf in leaves.items()})


def compare(model, truth, fitted):
    """Return per face: degrees of rotation, relative error of depth, and photometric errors before and after."""
    target, _ = render(model, truth)
    blank = torch.zeros(len(truth.identity), SIZE, SIZE, 3)
    pictures = target.over(blank)

    def photometric(face):
        error = (render(model, face)[0].over(blank) - pictures).square().sum(-1)
        return (error * target.mask).sum((1, 2)) / target.mask.sum((1, 2))

    turn = mr.rotation_from_vector(fitted.rotation_vector).mT @ mr.rotation_from_vector(truth.rotation_vector)
    degrees = torch.rad2deg(mr.vector_from_rotation(turn).norm(dim=-1))
    depth = (fitted.translation_m[:, 2] / truth.translation_m[:, 2] - 1).abs()
    before = photometric(mean_faces(model, len(blank)))
    return degrees, depth, before, photometric(fitted)


def main(argv=None):
    """Fit a few faces and print what was recovered."""
    arguments = sys.argv[1:] if argv is None else argv
    count, steps = (int(arguments[1]), int(arguments[2])) if len(arguments) > 2 else (4, 400)
    model = morphable.load("open")
    truth = random_faces(model, count, torch.Generator().manual_seed(0))
    target, landmarks_px = render(model, truth)
    background = torch.full((count, SIZE, SIZE, 3), 0.15)
    pictures = target.over(background)
    fitted = fit(model, pictures, landmarks_px, steps)
    degrees, depth, before, after = compare(model, truth, fitted)
    print(f"rotation: {degrees.max():.2f} degrees at worst; depth: {100 * depth.max():.2f} % at worst")
    print(f"squared colour error: {(before / after).min():.0f} to {(before / after).max():.0f} times smaller")
    if arguments:
        Path(arguments[0]).mkdir(parents=True, exist_ok=True)
        start, end = (render(model, face)[0].over(background) for face in (mean_faces(model, count), fitted))
        rows = [torch.cat(list(images[: min(count, 8)]), dim=1) for images in (pictures, start, end)]
        sheet = (torch.cat(rows).clamp(0, 1) * 255).byte().numpy()
        Image.fromarray(np.ascontiguousarray(sheet)).save(Path(arguments[0]) / "fit.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
