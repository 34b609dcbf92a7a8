"""Everything scenes are drawn from, read once per process: face model, base mesh, proxies, textures, environments."""

from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

import morphable
from morphable.eyes import EYE_PARTS, EyeReader
from morphable_synth.assets.catalog import (
    AssetCatalog,
    Style,
    head_uv,
    read_head_skin,
    read_texture,
    scan_assets,
)
from morphable_synth.assets.checks import require_assets
from morphable_synth.assets.environment import Environment, build_environment, read_radiance
from morphable_synth.assets.hm08 import Hm08, load_hm08
from morphable_synth.assets.parts import MODEL_PARTS, part
from morphable_synth.assets.patches import Patch, patch_of
from morphable_synth.assets.proxies import HM08_VERTICES, ProxyMesh, read_proxy
from morphable_synth.assets.recoloring import detail_map, gray_map
from morphable_synth.assets.textures import TexturePool, linear_from_srgb
from morphable_synth.kernels.arrays import Texels

_TEETH_VERTICES, _TONGUE_VERTICES = range(14992, 15128), range(13380, 13606)
_EYEBALL_VERTICES = 177
"""Vertices of one eyeball of the open model; the left and the right eyeball are its last vertices."""
_BODY_TEXTURE = 512
_HEAD_LEFT, _TORSO_BOTTOM = 0.63, 0.45
"""Where the head's island begins and the torso's ends in MakeHuman's layout."""
_MIN_ALPHA = 0.5


class Library:
    """Read-once access to what `scan_assets` found, and to the face model.

    Args:
        assets: Folder of assets, or None for the open model alone (the ``procedural`` level).
        cc0_only: See `scan_assets`.
    """

    def __init__(self, assets: Path | None, *, cc0_only: bool = False) -> None:
        self.catalog: AssetCatalog | None = scan_assets(assets, cc0_only=cc0_only) if assets is not None else None
        if self.catalog is not None:
            require_assets(self.catalog, cc0_only=cc0_only)
        self.model = morphable.load_model("open")
        self.hm08: Hm08 = load_hm08()
        self.pool = TexturePool()
        self._proxies: dict[tuple[Path, float], ProxyMesh] = {}
        self._environments: dict[Path, Environment] = {}
        self._bodies: dict[Path | None, Patch] = {}
        self._opacity: dict[Style, np.ndarray] = {}
        self._skin_mean: dict[int, np.ndarray] = {}

    @property
    def texels(self) -> Texels:
        """The texture pool as the kernels read it."""
        return Texels(self.pool.pixels, self.pool.levels)

    @cached_property
    def head_triangles(self) -> Int[np.ndarray, "tris 3"]:
        """Triangles of the decoded face."""
        return np.asarray(self.model.triangles.numpy(), np.int32)

    @cached_property
    def head_corner_uv(self) -> Float[np.ndarray, "tris 3 2"]:
        """MakeHuman's texture coordinates of the decoded face, in the crop of `read_head_skin`."""
        return head_uv(self.head_full_uv)

    @cached_property
    def part_labels(self) -> Int[np.ndarray, " tris"]:
        """Part of each triangle of the decoded face, as in the model's ``part_names``."""
        return np.asarray(self.model.part_labels.numpy(), np.int32)

    @cached_property
    def replaced(self) -> Bool[np.ndarray, " tris"]:
        """Triangles of the decoded face that MakeHuman's eyes and teeth, or the tongue's own layer, stand in for."""
        return self.part_mask(EYE_PARTS) | self.teeth_triangle | self.tongue_triangle

    @cached_property
    def in_skin_map(self) -> Bool[np.ndarray, " tris"]:
        """Triangles of the decoded face that the head's skin texture covers; the others line mouth and sockets."""
        center = self.head_corner_uv.mean(1)
        return ((center > 0) & (center < 1)).all(1)

    @cached_property
    def eyeball_surface(self) -> tuple[Int[np.ndarray, " left"], Int[np.ndarray, " right"]]:
        """Vertices of the two eyeballs alone, without the lining of their sockets."""
        first = self.model.num_vertices - 2 * _EYEBALL_VERTICES
        left = np.arange(first, first + _EYEBALL_VERTICES)
        return left, left + _EYEBALL_VERTICES

    @cached_property
    def eye_reader(self) -> EyeReader:
        """Reader of the eyeballs of a decoded face."""
        return EyeReader(self.model)

    @cached_property
    def in_socket(self) -> Bool[np.ndarray, " verts"]:
        """Vertices of the decoded face that line the eye sockets or belong to the eyeballs."""
        mask = np.zeros(self.model.num_vertices, bool)
        mask[self.head_triangles[self.part_mask(EYE_PARTS)]] = True
        return mask

    @cached_property
    def teeth_triangle(self) -> Bool[np.ndarray, " tris"]:
        """Triangles of the decoded face's teeth."""
        return self._island(_TEETH_VERTICES)

    @cached_property
    def tongue_triangle(self) -> Bool[np.ndarray, " tris"]:
        """Triangles of the decoded face's tongue."""
        return self._island(_TONGUE_VERTICES)

    @cached_property
    def on_torso(self) -> Bool[np.ndarray, " tris"]:
        """Triangles of the decoded face's neck that the skin of the body covers."""
        center = self.head_full_uv.mean(1)
        left, bottom = _HEAD_LEFT, _TORSO_BOTTOM
        return ~self.in_skin_map & (center[:, 0] < left) & (center[:, 1] < bottom) & ~self.replaced

    @cached_property
    def head_full_uv(self) -> Float[np.ndarray, "tris 3 2"]:
        """MakeHuman's texture coordinates of the decoded face in the whole skin."""
        return self.hm08.head_uv[self.model.uv_triangles.numpy()]

    @cached_property
    def head_kept(self) -> Bool[np.ndarray, " tris"]:
        """Triangles of the decoded face's layer `head`: all without assets, the textured skin with them."""
        if self.catalog is None:
            return np.ones(len(self.head_triangles), bool)
        return self.in_skin_map & ~self.replaced

    @cached_property
    def head_patch(self) -> Patch:
        """The decoded face's layer `head`."""
        return patch_of(self.head_triangles, self.head_corner_uv, self.head_kept)

    @cached_property
    def head_parts(self) -> Int[np.ndarray, " tris"]:
        """Index into `PART_NAMES` of each triangle of `head_patch`."""
        known = [part(name) if name in MODEL_PARTS else part("skin") for name in self.model.part_names]
        return np.array(known, np.int32)[self.part_labels[self.head_kept]]

    @cached_property
    def cavity_patch(self) -> Patch:
        """The decoded face's lining of mouth and eye sockets."""
        kept = ~self.in_skin_map & ~self.replaced & ~self.on_torso
        return patch_of(self.head_triangles, self.head_full_uv, kept)

    @cached_property
    def neck_patch(self) -> Patch:
        """The decoded face's neck that the skin of the body covers."""
        return patch_of(self.head_triangles, self.head_full_uv, self.on_torso)

    @cached_property
    def tongue_patch(self) -> Patch:
        """The decoded face's tongue."""
        return patch_of(self.head_triangles, self.head_full_uv, self.tongue_triangle)

    def body_patch(self, clothes: Style | None) -> Patch:
        """Return the base mesh's skin of neck and shoulders that clothes leave to be seen."""
        key = clothes.mesh if clothes is not None else None
        if key not in self._bodies:
            hidden = self.proxy(clothes).hides if clothes is not None else ()
            shown = np.asarray(~np.isin(self.hm08.skin_triangles, hidden).any(1))
            self._bodies[key] = patch_of(self.hm08.skin_triangles, self.hm08.skin_corner_uv, shown)
        return self._bodies[key]

    def _island(self, hm08_vertices: range) -> np.ndarray:
        """Triangles connected with the given base mesh vertices."""
        inside = np.zeros(self.model.num_vertices, bool)
        inside[np.flatnonzero(np.isin(self.hm08.head_index, hm08_vertices))] = True
        reached = -1
        while int(inside.sum()) > reached:
            reached = int(inside.sum())
            inside[self.head_triangles[inside[self.head_triangles].any(1)]] = True
        return inside[self.head_triangles].any(1)

    def part_mask(self, names: tuple[str, ...]) -> Bool[np.ndarray, " tris"]:
        """Return which triangles of the decoded face belong to the named parts."""
        wanted = [k for k, name in enumerate(self.model.part_names) if name in names]
        return np.isin(self.part_labels, wanted)

    @cached_property
    def skin_triangle(self) -> Bool[np.ndarray, " tris"]:
        """Triangles of the decoded face whose corners all lie in the model's skin region."""
        return self.model.region("skin").numpy()[self.head_triangles].all(1)

    @cached_property
    def skin_corners(self) -> Int[np.ndarray, "3 tris"]:
        """First, second and third corner of the triangles of `skin_triangle`."""
        return np.ascontiguousarray(self.head_triangles[self.skin_triangle].T)

    def decode(
        self, identity: Float[np.ndarray, "faces id"], expression: Float[np.ndarray, "faces expr"]
    ) -> Float[np.ndarray, "faces verts 3"]:
        """Return the vertices of faces in the model frame.

        One face at a time: a product of matrices rounds differently with the number of rows and of torch's threads.
        """
        pairs = zip(torch.from_numpy(identity), torch.from_numpy(expression), strict=True)
        with torch.no_grad():
            return np.stack([self.model.decode_shape(*pair).numpy() for pair in pairs])

    def proxy(self, style: Style, *, min_alpha: float = 0.0) -> ProxyMesh:
        """Return a proxy mesh, without triangles bound to base mesh vertices that `Hm08` does not make.

        Args:
            style: What is worn.
            min_alpha: Triangles whose texture is more transparent are left out too.

        Raises:
            ValueError: The proxy is scaled by such vertices.
        """
        key = (style.mesh, min_alpha)
        if key not in self._proxies:
            mesh = read_proxy(style.mesh)
            if not all(self._known[i] and self._known[j] for i, j, _ in mesh.scale):
                raise ValueError(f"{style.mesh} must be scaled by vertices of head and body, got {mesh.scale}")
            keep = self._known[mesh.reference].all(1)[mesh.triangles].all(1)
            if min_alpha > 0:
                keep &= _opacity(mesh, style.texture) >= min_alpha
            self._proxies[key] = mesh if keep.all() else mesh.subset(keep)
        return self._proxies[key]

    @cached_property
    def _known(self) -> Bool[np.ndarray, " hm08"]:
        known = np.zeros(HM08_VERTICES, bool)
        known[np.concatenate([self.hm08.head_index, self.hm08.exact_index, self.hm08.body_index])] = True
        return known

    def glasses_texture(self, style: Style, tint: float) -> int:
        """Return glasses whose lenses (the half-transparent texels) have the given opacity, darkened with it."""
        level = round(tint * 8)

        def load() -> np.ndarray:
            picture = read_texture(style.texture).copy()
            lens = picture[..., 3] < 250
            shade = np.array([30, 30, 34]) if level > 2 else np.array([200, 205, 210])
            picture[lens & (picture[..., 3] > 0), :3] = shade
            picture[..., 3] = np.where(lens & (picture[..., 3] > 0), int(255 * max(level / 8, 0.03)), picture[..., 3])
            return picture

        return self.pool.get(f"{style.texture}#tint{level}", load)

    def opacity(self, style: Style) -> Float[np.ndarray, " tris"]:
        """Return the texture's opacity at the middle of each triangle of `proxy`."""
        if style not in self._opacity:
            self._opacity[style] = _opacity(self.proxy(style), style.texture)
        return self._opacity[style]

    def texture(self, path: Path) -> int:
        """Return the pool's number of a picture."""
        return self.pool.get(str(path), lambda: read_texture(path))

    def gray_texture(self, path: Path) -> int:
        """Return the pool's number of a picture's brightness, scaled to a common mean: what hair is colored from."""
        return self.pool.get(f"{path}#gray", lambda: gray_map(read_texture(path)))

    def head_skin(self, path: Path) -> int:
        """Return the pool's number of the head's part of a skin."""
        return self.pool.get(f"{path}#head", lambda: read_head_skin(path))

    def body_skin(self, path: Path) -> int:
        """Return the pool's number of a whole skin at low resolution."""
        return self.pool.get(f"{path}#body", lambda: read_texture(path, max_size=_BODY_TEXTURE))

    def skin_detail(self, path: Path) -> int:
        """Return the pool's number of the fine structure of a skin (pores, wrinkles), as `detail_map` writes it."""
        return self.pool.get(f"{path}#detail", lambda: detail_map(read_head_skin(path)))

    def skin_mean(self, texture: int) -> Float[np.ndarray, "3"]:
        """Return the mean linear color of a head skin over the face."""
        if texture not in self._skin_mean:
            self._skin_mean[texture] = _mean_at(self.texels, texture, self._face_uv)
        return self._skin_mean[texture]

    @cached_property
    def _face_uv(self) -> np.ndarray:
        return self.head_corner_uv[self.skin_triangle].mean(1)[::7]

    def environment(self, path: Path) -> Environment:
        """Return an environment map with its lights."""
        if path not in self._environments:
            self._environments[path] = build_environment(path.stem, read_radiance(path))
        return self._environments[path]


def _opacity(mesh: ProxyMesh, texture: Path) -> np.ndarray:
    picture = read_texture(texture, max_size=256)
    center = np.mod(mesh.corner_uv.mean(1), 1.0) * [picture.shape[1], picture.shape[0]]
    col, row = np.minimum(center.astype(int), [picture.shape[1] - 1, picture.shape[0] - 1]).T
    return picture[row, col, 3].astype(np.float32) / 255


def _mean_at(texels: Texels, texture: int, uv: np.ndarray) -> np.ndarray:
    offset, width, height = texels.levels[texture, 2]
    col = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip((uv[:, 1] * height).astype(int), 0, height - 1)
    return linear_from_srgb(texels.pixels[offset + row * width + col, :3] / 255.0).mean(0)


@cache
def load_library(assets: Path | None, cc0_only: bool = False) -> Library:
    """Return this process's library of a folder."""
    return Library(assets, cc0_only=cc0_only)
