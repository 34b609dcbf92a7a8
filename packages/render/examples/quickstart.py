"""Two faces in one camera: pixels, depth, parts, and a step of gradient descent."""

import torch

import morphable
import morphable_render as mr
from morphable import geometry

model = morphable.load_model("open")
identity = torch.zeros(2, model.num_identity, requires_grad=True)
shape = model.decode_shape(identity, torch.zeros(2, model.num_expression))
albedo = model.decode_albedo(torch.zeros(2, model.num_albedo))

rotation = geometry.rotation_from_angles(torch.tensor([[0.0, 0.3, 0.0], [0.0, -0.3, 0.0]]))  # pitch, yaw, roll
place = torch.tensor([[-0.1, 0.0, 1.0], [0.1, 0.0, 1.5]])  # meters, camera frame
cam = geometry.camera_from_model(shape, rotation, place)

image = mr.render_faces(
    cam,
    model.triangles,
    albedo,
    illumination=torch.zeros(2, 9, 3),
    focal_px=geometry.GLOBAL_FOCAL_PX,
    background=torch.ones(512, 512, 3),
    part_labels=model.part_labels,
)
image.rgb.mean().backward()

print("rgb", tuple(image.rgb.shape), "covered", f"{image.mask.float().mean():.0%}")
print("depth", f"{image.depth_m[image.mask].min():.2f} to {image.depth_m[image.mask].max():.2f} m")
print("parts seen:", ", ".join(model.part_names[k] for k in image.part[image.mask].unique().tolist()[:4]), "...")
print("gradient to identity", tuple(identity.grad.shape), "finite:", bool(identity.grad.isfinite().all()))
