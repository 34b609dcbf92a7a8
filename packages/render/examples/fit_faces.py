"""Fit the open model to pictures by descending the renderer's gradients: the differentiable renderer at work.

Faces with known coefficients are rendered; from the mean face, landmarks and the pictures' own colors lead back to
pose, shape, albedo and light. Turning a head and bending its shape move the landmarks alike, and the loss is
thousands of times flatter along such directions than across: plain descent (or Adam's) stops there, degrees away.
So each step is the gradient, taken through the renderer by autograd, times the inverse of the Gauss-Newton matrix
of the same errors (Levenberg-Marquardt). Run with a folder to save before/after pictures, a number of faces, and the
steps at each level: `python fit_faces.py /tmp/fit 4 5`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import morphable
import morphable_render as mr
from morphable import geometry
from morphable_render.interpolation import interpolate_at, surface_pixels
from morphable_render.lighting import irradiance_sh, sh_basis

SIZE, FOCAL_PX = 128, 500.0
LANDMARK_SIGMA_PX = 0.1
"""How exactly the points are believed; they are exact here."""
LEVELS = (None, 0.05, 0.02, 0.005)
"""Landmarks alone, then with colors: errors up to about this are explained, larger ones (background beside the
outline) are distrusted."""
STEPS = 5
"""At each level."""
PRIOR_SIGMA = {"identity": 1.0, "expression": 0.3, "pose": torch.inf, "albedo": 1.0, "light": 0.2}
"""Spread of the coefficients before anything is seen."""
EFFECTIVE_PIXELS = SIZE * SIZE / 3
"""A face counts as this many pixels, however large it is: otherwise covering less would lower the loss."""
CUTOFF = 9.0
"""Squared color error, in sigmas, at which trust has fallen to a quarter (Geman and McClure's function)."""


@dataclass(frozen=True)
class Face:
    """What a picture of one face depends on; every field with a batch of one."""

    identity: torch.Tensor
    expression: torch.Tensor
    rotation: torch.Tensor
    translation_m: torch.Tensor
    albedo: torch.Tensor
    illumination: torch.Tensor

    def moved(self, step):
        """Take a step: shape, a rotation vector that turns the head, meters, albedo, light."""
        sizes = self.identity.shape[1], self.expression.shape[1], 3, 3, self.albedo.shape[1], 27
        identity, expression, turn, shift, albedo, light = step.split(sizes)
        return Face(
            self.identity + identity,
            self.expression + expression,
            geometry.rotation_from_vector(turn) @ self.rotation,
            self.translation_m + shift,
            self.albedo + albedo,
            self.illumination + light.reshape(9, 3),
        )


def random_face(model, generator):
    """Draw a plausible face that looks somewhere near the camera."""

    def normal(*shape):
        return torch.randn(1, *shape, generator=generator)

    return Face(
        identity=normal(model.num_identity),
        expression=torch.rand(1, model.num_expression, generator=generator) ** 6,
        albedo=normal(model.num_albedo),
        rotation=geometry.rotation_from_vector(normal(3) * torch.tensor([0.15, 0.3, 0.1])),
        translation_m=torch.tensor([0.0, 0.0, 1.0]) + normal(3) * torch.tensor([0.015, 0.015, 0.08]),
        illumination=normal(9, 1) * 0.06 + normal(9, 3) * 0.015,
    )


def mean_face(model):
    """The start: mean face, frontal, one meter away, under soft white light."""
    return Face(
        torch.zeros(1, model.num_identity),
        torch.zeros(1, model.num_expression),
        torch.eye(3)[None],
        torch.tensor([[0.0, 0.0, 1.0]]),
        torch.zeros(1, model.num_albedo),
        torch.zeros(1, 9, 3),
    )


def render(model, face):
    """Return the rendered pixels and the 68 landmarks in pixels."""
    cam = geometry.camera_from_model(
        model.decode_shape(face.identity, face.expression), face.rotation, face.translation_m
    )
    rendered = mr.render_pixels(
        cam,
        model.triangles,
        model.decode_albedo(face.albedo),
        illumination=face.illumination,
        image_index=torch.tensor([0]),
        num_images=1,
        focal_px=FOCAL_PX,
        size_hw=(SIZE, SIZE),
    )
    return rendered, geometry.Pinhole((SIZE, SIZE), FOCAL_PX).project(model.landmarks(cam))[0]


class Derivatives:
    """How landmarks and colors change along every coefficient: the rows of the Gauss-Newton matrix."""

    def __init__(self, model):
        self.model = model
        counts = model.num_identity, model.num_expression
        none = [torch.zeros(1, n) for n in counts]
        shape = model.decode_shape(*torch.eye(sum(counts)).split(counts, dim=1)) - model.decode_shape(*none)
        self.shape = shape.permute(1, 2, 0)
        self.landmarks = model.landmarks(shape).permute(1, 2, 0)
        ones = torch.eye(model.num_albedo)
        self.albedo = (model.decode_albedo(ones) - model.decode_albedo(0 * ones[:1])).permute(1, 2, 0)

    def of_landmarks(self, face):
        """Derivative (68, 2, coefficients) of the landmarks in pixels."""
        model = self.model
        head = model.landmarks(model.decode_shape(face.identity, face.expression))[0] @ face.rotation[0].T
        rays = _rays_by_points(geometry.camera_from_model(head, torch.eye(3), face.translation_m[0]))
        motion = rays @ _to_camera(_turned(self.landmarks, head, face.rotation[0]))
        return torch.nn.functional.pad(motion * FOCAL_PX, (0, model.num_albedo + 27))

    def of_colors(self, face):
        """Derivative (pixels, 3, coefficients) of the covered pixels' colors, visibility held fixed."""
        model = self.model
        shape, albedo = model.decode_shape(face.identity, face.expression)[0], model.decode_albedo(face.albedo)[0]
        head = shape @ face.rotation[0].T
        cam = geometry.camera_from_model(head, torch.eye(3), face.translation_m[0])
        fragments = mr.rasterize(cam[None], model.triangles, focal_px=FOCAL_PX, size_hw=(SIZE, SIZE))
        surface = surface_pixels(fragments, cam[None], model.triangles, focal_px=FOCAL_PX)

        def at_pixels(values):
            return interpolate_at(values.flatten(1)[None], surface).unflatten(1, values.shape[1:])

        normals, light, light_by_shape = self._shading(face, shape)
        motion = _to_camera(_turned(at_pixels(self.shape), at_pixels(head), face.rotation[0]))
        slope = _colors_by_rays(albedo * light, cam, surface)
        by_geometry = at_pixels(torch.nn.functional.pad(albedo[..., None] * light_by_shape, (0, 3)))
        by_geometry -= slope @ (_rays_by_points(at_pixels(cam)) @ motion)
        by_albedo = at_pixels(self.albedo * light[..., None])
        by_light = at_pixels(sh_basis(normals)[..., None] * albedo[:, None])
        by_light = torch.diag_embed(by_light).transpose(1, 2).flatten(2)  # a channel's light colors that channel
        return torch.cat([by_geometry, by_albedo, by_light], dim=2)

    def _shading(self, face, shape, small=1e-4):
        """Normals and light per vertex, and the derivative (verts, 3, shape and turn) of the light."""
        triangles = self.model.triangles
        normals = mr.vertex_normals(shape, triangles)
        bent = mr.vertex_normals(shape + small * self.shape.permute(2, 0, 1), triangles) - normals
        normals = normals @ face.rotation[0].T
        by_shape = _turned(bent.permute(1, 2, 0) / small, normals, face.rotation[0])
        leaf = normals.clone().requires_grad_()
        light = irradiance_sh(leaf, face.illumination[0])
        by_normal = [torch.autograd.grad(light[:, k].sum(), leaf, retain_graph=True)[0] for k in range(3)]
        return normals, light.detach(), torch.stack(by_normal, dim=1) @ by_shape


def _turned(modes, points, rotation):
    """Derivative of rotated vectors by shape modes and by a further turn."""
    axes = torch.eye(3).expand(len(points), 3, 3)
    return torch.cat([rotation @ modes, torch.linalg.cross(axes, points[..., None].expand_as(axes), dim=1)], dim=2)


def _to_camera(by_head):
    """Derivative of camera points by shape, turn and translation."""
    flip = torch.tensor([1.0, -1.0, -1.0])[:, None]
    return torch.cat([flip * by_head, torch.eye(3).expand(len(by_head), 3, 3)], dim=2)


def _rays_by_points(cam):
    """Derivative (points, 2, 3) of (x/z, y/z)."""
    x, y, z = cam.unbind(-1)
    zero, one = torch.zeros_like(z), torch.ones_like(z)
    return torch.stack([one, zero, -x / z, zero, one, -y / z], dim=1).reshape(-1, 2, 3) / z[:, None, None]


def _colors_by_rays(colors, cam, surface, thinnest=1e-4):
    """Derivative (pixels, 3, 2) of the color within the triangle that a pixel shows by the ray (x/z, y/z)."""
    corners, values = cam[surface.corner], colors[surface.corner]
    place = (corners * surface.barycentric[..., None]).sum(1)
    edges = _rays_by_points(place) @ (corners[:, 1:] - corners[:, :1]).mT
    (a, b), (c, d) = edges[:, 0].unbind(1), edges[:, 1].unbind(1)
    area = a * d - b * c
    solid = area.abs() > thinnest * edges.square().sum((1, 2))
    adjugate = torch.stack([d, -b, -c, a], dim=1).reshape(-1, 2, 2)
    inverse = torch.where(solid[:, None, None], adjugate / area[:, None, None], 0.0)
    return (values[:, 1:] - values[:, :1]).mT @ inverse


def prior(model):
    """Inverse variance of every number of a step."""
    counts = model.num_identity, model.num_expression, 6, model.num_albedo, 27
    return torch.cat([torch.full((n,), s**-2) for n, s in zip(counts, PRIOR_SIGMA.values(), strict=True)])


def objective(model, face, picture, landmarks_px, sigma):
    """Return the loss, its gradient by a step, and the square of every covered pixel's error in sigmas."""
    weight = prior(model)
    step = torch.zeros(len(weight), requires_grad=True)
    here = face.moved(step)
    numbers = [here.identity, here.expression, torch.zeros(1, 6), here.albedo, here.illumination.reshape(1, -1)]
    rendered, points = render(model, here)
    loss = torch.cat(numbers, dim=1).square()[0] @ weight
    loss = loss + ((points - landmarks_px) / LANDMARK_SIGMA_PX).square().sum()
    square = torch.zeros(0)
    if sigma is not None:
        square = (rendered.rgb - rendered.sample(picture)).square().sum(1) / sigma**2
        loss = loss + EFFECTIVE_PIXELS * (square / (1 + square / CUTOFF)).mean()
    (gradient,) = torch.autograd.grad(loss / 2, step)
    return loss.item() / 2, gradient, square.detach()


def gauss_newton(derivatives, face, square, sigma):
    """Return the Gauss-Newton matrix of the objective."""
    points = derivatives.of_landmarks(face).flatten(0, 1) / LANDMARK_SIGMA_PX
    matrix = torch.diag(prior(derivatives.model)) + points.mT @ points
    if sigma is None:
        return matrix
    trust = EFFECTIVE_PIXELS / len(square) / (1 + square / CUTOFF) ** 2
    rows = derivatives.of_colors(face) * (trust.sqrt() / sigma)[:, None, None]
    return matrix + rows.flatten(0, 1).mT @ rows.flatten(0, 1)


def fit(model, picture, landmarks_px, steps=STEPS, levels=LEVELS):
    """Descend from the mean face; a step that makes things worse is not taken, and a shorter one tried."""
    face, derivatives, damping = mean_face(model), Derivatives(model), 1e-3
    for sigma in levels:
        loss, gradient, square = objective(model, face, picture, landmarks_px, sigma)
        matrix = gauss_newton(derivatives, face, square, sigma)
        for n in range(steps):
            damped = (matrix + damping * matrix.diagonal().diag()).double()
            tried = face.moved(-torch.linalg.solve(damped, gradient.double()).float())
            new_loss, new_gradient, square = objective(model, tried, picture, landmarks_px, sigma)
            if new_loss < loss:
                face, loss, gradient, damping = tried, new_loss, new_gradient, max(damping / 10, 1e-6)
                if n < steps - 1:
                    matrix = gauss_newton(derivatives, face, square, sigma)
            else:
                damping *= 10
    return face


def compare(model, truth, fitted):
    """Return degrees of rotation, relative error of depth, and how many times smaller the squared color error is."""
    target, _ = render(model, truth)
    picture = target.over(torch.zeros(1, SIZE, SIZE, 3))

    def photometric(face):
        error = (render(model, face)[0].over(torch.zeros(1, SIZE, SIZE, 3)) - picture).square().sum(-1)
        return error[target.mask].mean()

    turn = fitted.rotation.mT @ truth.rotation
    degrees = torch.rad2deg(geometry.vector_from_rotation(turn).norm())
    depth = (fitted.translation_m[0, 2] / truth.translation_m[0, 2] - 1).abs()
    return degrees.item(), depth.item(), (photometric(mean_face(model)) / photometric(fitted)).item()


def fit_random(model, seed, **settings):
    """Fit one random face in front of a gray wall; return the truth, the fitted face and `compare` of both."""
    truth = random_face(model, torch.Generator().manual_seed(seed))
    target, landmarks_px = render(model, truth)
    picture = target.over(torch.full((1, SIZE, SIZE, 3), 0.15))
    fitted = fit(model, picture, landmarks_px, **settings)
    return truth, fitted, compare(model, truth, fitted)


def main(argv=None):
    """Fit a few faces and print what was recovered."""
    arguments = sys.argv[1:] if argv is None else argv
    count, steps = (int(arguments[1]), int(arguments[2])) if len(arguments) > 2 else (4, STEPS)
    model = morphable.load_model("open")
    columns = []
    for seed in range(count):
        truth, fitted, (degrees, depth, gain) = fit_random(model, seed, steps=steps)
        print(
            f"face {seed}: {degrees:.2f} degrees, {100 * depth:.2f} % of depth, squared error {gain:.0f} times smaller"
        )
        wall = torch.full((1, SIZE, SIZE, 3), 0.15)
        columns.append(torch.cat([render(model, face)[0].over(wall)[0] for face in (truth, mean_face(model), fitted)]))
    if arguments:
        Path(arguments[0]).mkdir(parents=True, exist_ok=True)
        sheet = (torch.cat(columns[:8], dim=1).clamp(0, 1) * 255).byte().numpy()
        Image.fromarray(np.ascontiguousarray(sheet)).save(Path(arguments[0]) / "fit.jpg", quality=92)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
