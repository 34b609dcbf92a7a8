"""The training form: colors of covered pixels only, for any number of faces in a batch of images."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from morphable_render.interpolation import SurfacePixels, interpolate_at, scatter_to_image, surface_pixels
from morphable_render.lighting import lighting_normals, shade_sh
from morphable_render.normals import vertex_normals
from morphable_render.rasterization import rasterize_faces


@dataclass(frozen=True)
class RenderedPixels:
    """Colors of the pixels that a batch's faces cover."""

    rgb: Float[Tensor, "pixels 3"]
    """sRGB-encoded, not clamped; differentiable in vertices, albedo, light and focal length."""
    mask: Bool[Tensor, "images rows cols"]
    surface: SurfacePixels
    """Where the pixels are and what they show."""

    def sample(self, images: Shaped[Tensor, "images rows cols ..."]) -> Shaped[Tensor, "pixels ..."]:
        """Read other images (photographs, skin masks, weights) at the covered pixels."""
        return images[self.surface.image, self.surface.row, self.surface.col]

    def over(self, background: Float[Tensor, "images rows cols 3"]) -> Float[Tensor, "images rows cols 3"]:
        """Put the faces over photographs, as whole images."""
        return scatter_to_image(self.rgb, self.surface, background)

    def per_image(self, values: Float[Tensor, " pixels"]) -> Float[Tensor, " images"]:
        """Sum a value per pixel over each image; images without a face get zero."""
        return values.new_zeros(len(self.mask)).index_add(0, self.surface.image, values)


def render_pixels(
    vertices_cam: Float[Tensor, "faces verts 3"],
    triangles: Int[Tensor, "tris 3"],
    albedo: Float[Tensor, "faces verts 3"],
    *,
    illumination: Float[Tensor, "faces 9 3"],
    image_index: Int[Tensor, " faces"],
    num_images: int,
    focal_px: Float[Tensor, "#images"] | float | int,
    size_hw: tuple[int, int],
) -> RenderedPixels:
    """Render faces into a batch of images; time and memory follow the covered pixels.

    The faces of one image share a z-buffer. Gradients flow through covered pixels to geometry, pose,
    albedo and light; the silhouette's own motion has none.

    Args:
        vertices_cam: Camera-frame vertices of all faces of the batch, meters.
        triangles: Common triangles, counter-clockwise seen from outside.
        albedo: sRGB-encoded vertex colors.
        illumination: Spherical-harmonics light per face (`shade_sh`).
        image_index: The image that each face belongs to.
        num_images: Number of images; some may hold no face.
        focal_px: Focal length in pixels, common or per image.
        size_hw: Height and width of every image.

    >>> pixels = render_pixels(
    ...     vertices_cam,
    ...     model.triangles,
    ...     albedo,
    ...     illumination=faces.illumination,
    ...     image_index=torch.tensor([0, 0]),
    ...     num_images=1,
    ...     focal_px=200.0,
    ...     size_hw=(64, 64),
    ... )
    >>> pixels.rgb.shape[1]
    3
    """
    fragments = rasterize_faces(
        vertices_cam.detach(), triangles, image_index, focal_px=focal_px, size_hw=size_hw, num_images=num_images
    )
    surface = surface_pixels(fragments, vertices_cam, triangles, focal_px=focal_px)
    normals = lighting_normals(vertex_normals(vertices_cam, triangles))
    rgb = interpolate_at(shade_sh(albedo, normals, illumination), surface)
    return RenderedPixels(rgb, fragments.mask, surface)
