"""The code of the README."""

import torch

import morphable

model = morphable.load_model("open")

identity = torch.randn(8, model.num_identity)  # eight people
expression = torch.zeros(8, model.num_expression)
expression[:, model.expression_names.index("jawOpen")] = 0.6
albedo = torch.randn(8, model.num_albedo)

vertices = model.decode_shape(identity, expression)  # meters, +y up, +z out of the face
colors = model.decode_albedo(albedo)  # sRGB-encoded
mirrored = model.decode_shape(model.flip_identity(identity), model.flip_expression(expression))

in_camera = vertices * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor([0.0, 0.0, 0.8])  # 0.8 m in front of it

print("vertices", tuple(vertices.shape), "colors", tuple(colors.shape), "normals", tuple(model.normals(vertices).shape))
print(
    "68 static points",
    tuple(model.landmarks(vertices).shape),
    "AFLW's",
    tuple(model.landmarks(vertices, "aflw21").shape),
)
print("68 with the visible jaw outline", tuple(model.contour_landmarks(in_camera).shape))
print("vertices of the lips:", int(model.region("lips").sum()))
print("mirrored to", f"{(mirrored - model.mirror(vertices)).abs().max():.0e} m")
