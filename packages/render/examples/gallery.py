"""Draw the README's pictures: the layers of a scene, its views, and a texture baked from one picture.

`python gallery.py FOLDER` writes layers.jpg, views.jpg and texture.jpg.
"""

import sys
from pathlib import Path

import torch
from PIL import Image

import morphable
import morphable_render as mr
from morphable import geometry
from morphable_render.lighting import lighting_normals
from morphable_render.pncc import pncc_colors
from morphable_render.uv import uv_at_surface

SIZE, SUPERSAMPLE = 320, 3


def shrink(picture):
    """Average blocks of pixels: smooth edges."""
    planes = picture.permute(2, 0, 1)[None]
    return torch.nn.functional.avg_pool2d(planes, SUPERSAMPLE)[0].permute(1, 2, 0)


def save(pictures, path):
    """Write pictures side by side."""
    sheet = torch.cat([shrink(p.detach().clamp(0, 1)) for p in pictures], dim=1)
    Image.fromarray((sheet * 255).byte().numpy()).save(path, quality=88)


def scene(model):
    """Three random adults at 0.9, 1.1 and 1.6 m."""
    generator = torch.Generator().manual_seed(11)
    expression = torch.zeros(3, model.num_expression)
    for name, value in (("mouthSmileLeft", 0.7), ("mouthSmileRight", 0.7), ("cheekSquintLeft", 0.4)):
        expression[0, model.expression_names.index(name)] = value
    expression[1, model.expression_names.index("jawOpen")] = 0.4
    shape = model.decode_shape(0.8 * torch.randn(3, model.num_identity, generator=generator), expression)
    albedo = model.decode_albedo(0.8 * torch.randn(3, model.num_albedo, generator=generator))
    rotation = geometry.rotation_from_angles(torch.tensor([[0.05, -0.45, 0.0], [-0.1, 0.5, -0.08], [0.0, 0.0, 0.1]]))
    place = torch.tensor([[-0.11, 0.04, 0.9], [0.15, 0.02, 1.1], [0.0, -0.16, 1.6]])
    light = torch.zeros(3, 9, 3)
    light[:, 2], light[:, 3], light[:, 1] = 0.14, -0.16, -0.05
    return geometry.camera_from_model(shape, rotation, place), albedo, light


def main(argv=None):
    """Write the pictures."""
    folder = Path((sys.argv[1:] if argv is None else argv)[0])
    folder.mkdir(parents=True, exist_ok=True)
    model = morphable.load_model("open")
    cam, albedo, light = scene(model)
    side = SIZE * SUPERSAMPLE
    settings = {"focal_px": geometry.GLOBAL_FOCAL_PX * side / 512, "background": torch.ones(side, side, 3)}
    image = mr.render_faces(cam, model.triangles, albedo, illumination=light, part_labels=model.part_labels, **settings)
    mask = image.mask[..., None]
    palette = torch.rand(len(model.part_names), 3, generator=torch.Generator().manual_seed(5)) * 0.8 + 0.1
    mean = model.decode_shape(torch.zeros(model.num_identity), torch.zeros(model.num_expression))
    pncc = pncc_colors(mean).expand(3, -1, -1)
    layers = [
        image.rgb,
        torch.where(mask, ((1.8 - image.depth_m) / 1.1)[..., None], 1.0).expand(-1, -1, 3),
        torch.where(mask, image.normals * torch.tensor([0.5, -0.5, -0.5]) + 0.5, 1.0),
        torch.where(mask, palette[image.part], 1.0),
        mr.render_faces(cam, model.triangles, pncc, **settings).rgb,
    ]
    save(layers, folder / "layers.jpg")
    lit = mr.shade_sh(albedo, lighting_normals(mr.vertex_normals(cam, model.triangles)), light)
    views = mr.views(cam, model.triangles, lit, background=settings["background"])
    save([views.front.rgb, views.right.rgb, views.top.rgb], folder / "views.jpg")

    mesh = mr.uv_mesh(model)
    layout = mr.uv_layout(mesh, side)
    neutral = model.decode_albedo(torch.zeros(model.num_albedo))
    baked = mr.bake_texture(
        image.rgb.clamp(0, 1), cam[1], layout, focal_px=settings["focal_px"], depth_m=image.depth_m,
        illumination=light[1], fallback=neutral,
    )  # fmt: skip
    front = cam[1:2] @ geometry.rotation_from_angles(torch.tensor([0.0, 0.9, 0.0])).T
    front = front - front.mean(1, keepdim=True) + torch.tensor([0.0, 0.0, 0.75])
    turned = mr.render_faces(front, model.triangles, albedo[1:2], **settings)
    at = uv_at_surface(turned.triangle[turned.mask], turned.barycentric[turned.mask].detach(), mesh)
    textured = turned.rgb.clone()
    textured[turned.mask] = mr.sample_image(baked.rgb, at, layout.mask)
    shares = torch.stack([baked.weight, baked.mirrored, baked.filled], dim=-1)
    save([baked.rgb, shares, textured], folder / "texture.jpg")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
