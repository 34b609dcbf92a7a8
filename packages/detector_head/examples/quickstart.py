"""Two pictures in; centers, poses and meshes of up to four faces each out (random weights: four guesses)."""

import torch

import morphable
from morphable_detector_head import build_detector
from morphable_detector_head.presets import MOBILE

torch.manual_seed(0)
model = morphable.load_model("open")
detector = build_detector(MOBILE).eval()
with torch.no_grad():
    found = detector.detect(torch.rand(2, 3, 256, 384), top_k=4, min_score=0.0)
face = found.parameters
vertices = model.decode_shape(face.identity, face.expression)  # model frame, meters
in_camera = vertices @ face.rotation_head.mT * torch.tensor([1.0, -1.0, -1.0]) + face.translation_m[:, :, None]
for name in ("score", "center_px", "valid"):
    print(f"{name:12}", tuple(getattr(found, name).shape))
print("translation ", tuple(face.translation_m.shape))
print("vertices    ", tuple(in_camera.shape))
