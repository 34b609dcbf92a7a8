"""Eight rendered scenes of the open model, and a short training on them. Used by the slow test and the benchmark."""

from dataclasses import dataclass

import torch
from torch import Tensor

import morphable
from morphable import FaceParameters
from morphable.geometry import GLOBAL_FOCAL_PX, Pinhole, camera_from_model
from morphable_detector_head import DetectorConfig, FaceDetector, build_detector, encode_centers
from morphable_detector_head.cells import parameters_from_cells
from morphable_detector_head.decode import cell_centers
from morphable_detector_head.engines import OnnxDetector, OpenvinoDetector
from morphable_losses import center_focal_loss, coefficient_norm, landmark_loss
from morphable_losses.landmarks import landmark_weights
from morphable_render import render_faces

CONFIG = DetectorConfig(backbone="mobilenet_v3_small", width=64, center_width=32, parameter_width=256)
"""Small, so that the test takes minutes; the shape of the other parts is `MOBILE`'s."""
SIZE_PX = 256
NUM_SCENES = 8
MAX_FACES = 5
WARM_UP_STEPS = 20


@dataclass(frozen=True)
class Scenes:
    """Pictures with up to five faces each, and their 68 landmarks."""

    image: Tensor
    landmarks_px: Tensor
    present: Tensor

    def boxes(self) -> Tensor:
        """Tight boxes of the landmarks."""
        return torch.cat([self.landmarks_px.amin(2), self.landmarks_px.amax(2)], -1)


def landmarks_px(model: morphable.MorphableModel, face: FaceParameters) -> Tensor:
    """Project the 68 static points of faces."""
    shape = model.landmarks(model.decode_shape(face.identity, face.expression))
    return Pinhole((SIZE_PX, SIZE_PX)).project(camera_from_model(shape, face.rotation_head, face.translation_m))


def make_scenes(model: morphable.MorphableModel, config: DetectorConfig, seed: int = 0) -> Scenes:
    """Render scenes with one to five faces on blurred noise."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    images, points = [], torch.zeros(NUM_SCENES, MAX_FACES, 68, 2)
    present = torch.zeros(NUM_SCENES, MAX_FACES, dtype=torch.bool)
    slots = torch.tensor([[64.0, 64.0], [192.0, 64.0], [64.0, 192.0], [192.0, 192.0], [128.0, 128.0]])
    layout = config.layout
    for scene in range(NUM_SCENES):
        count = 1 + scene % MAX_FACES
        channels = torch.zeros(count, layout.num_channels)
        identity, expression, albedo, rotation, translation, light = channels.split(list(layout.sizes), -1)
        identity.copy_(random(*identity.shape))
        expression[:, :52] = torch.rand(count, 52, generator=generator).pow(6)
        albedo.copy_(random(*albedo.shape))
        rotation.copy_(0.3 * random(count, 3))
        translation[:, 2] = 0.13 + 0.15 * torch.rand(count, generator=generator)
        light.copy_(0.1 * random(*light.shape))
        cell_px = slots[:count] + 12 * random(count, 2)
        face = parameters_from_cells(channels, cell_px, (SIZE_PX, SIZE_PX), layout)
        vertices = model.decode_shape(face.identity, face.expression)
        noise = torch.rand(1, 3, 16, 16, generator=generator)
        background = torch.nn.functional.interpolate(noise, SIZE_PX, mode="bilinear")[0].movedim(0, -1)
        picture = render_faces(
            camera_from_model(vertices, face.rotation_head, face.translation_m),
            model.triangles,
            model.decode_albedo(face.albedo),
            illumination=face.illumination,
            focal_px=GLOBAL_FOCAL_PX,
            background=background,
        )
        images.append(picture.rgb.movedim(-1, 0).clamp(0, 1))
        points[scene, :count] = landmarks_px(model, face)
        present[scene, :count] = True
    return Scenes(torch.stack(images), points, present)


def overfit(config: DetectorConfig, scenes: Scenes, model: morphable.MorphableModel, *, steps: int) -> FaceDetector:
    """Train a network from random weights on all scenes at once."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        detector = build_detector(config).train()
    targets = encode_centers(scenes.boxes(), scenes.present, (SIZE_PX, SIZE_PX))
    optimizer = torch.optim.Adam(detector.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=WARM_UP_STEPS / steps)
    weights = landmark_weights(emphasis=1.0)
    for _ in range(steps):
        predictions = detector(scenes.image, targets.cell)
        face = predictions.parameters
        predicted = landmarks_px(model, face)
        terms = [
            center_focal_loss(predictions.center_logits, targets.heatmap),
            0.1 * landmark_loss(predicted, scenes.landmarks_px, weights, present=targets.valid, squared=False),
            1e-4 * coefficient_norm(face.identity, face.expression, face.albedo, present=targets.valid),
        ]
        optimizer.zero_grad()
        torch.stack(terms).sum().backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 10.0)
        optimizer.step()
        schedule.step()
    return refresh_statistics(detector, scenes.image)


def refresh_statistics(detector: FaceDetector, image: Tensor) -> FaceDetector:
    """Measure the running statistics anew: torchvision's MobileNetV3 averages over 100 steps (momentum 0.01),
    too slow for a training this short, whose last steps would be judged with the statistics of earlier ones."""
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # cumulative average
    with torch.no_grad():
        detector.train().features(image)
    return detector.eval()


@dataclass(frozen=True)
class Score:
    """How well faces were found."""

    recall: float
    """Share of faces whose center cell, or a neighbor of it, was detected."""
    false_positives: int
    landmark_error_px: float
    """Mean distance of the landmarks of the found faces."""


def score(
    detector: FaceDetector | OnnxDetector | OpenvinoDetector, scenes: Scenes, model: morphable.MorphableModel
) -> Score:
    """Compare detections with the truth."""
    with torch.no_grad():
        found = detector.detect(scenes.image)
        predicted = landmarks_px(model, found.parameters)
    targets = encode_centers(scenes.boxes(), scenes.present, (SIZE_PX, SIZE_PX))
    center_px = cell_centers(targets.cell, SIZE_PX // 8)
    hits, errors, used = 0, [], 0
    for scene in range(len(scenes.image)):
        for face in targets.valid[scene].nonzero()[:, 0]:
            near = (found.center_px[scene] - center_px[scene, face]).abs().amax(-1) <= 8  # px: one cell
            matches = (near & found.valid[scene]).nonzero()[:, 0]
            if len(matches):
                hits += 1
                error = predicted[scene, matches[0]] - scenes.landmarks_px[scene, face]
                errors.append(error.norm(dim=-1).mean())
        used += int(found.valid[scene].sum())
    return Score(
        hits / int(targets.valid.sum()), used - hits, float(torch.stack(errors).mean()) if errors else float("nan")
    )
