"""A small rasterizer for looking at the model while it is being built; no part of the product."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def _fill(xy, depth, triangles, index, weights, z_buffer):  # type: ignore[no-untyped-def]  # numba
    """Write the nearest triangle and its barycentric weights into every covered pixel."""
    height, width = z_buffer.shape
    for t in range(len(triangles)):
        a, b, c = triangles[t]
        ax, ay = xy[a, 0], xy[a, 1]
        bx, by = xy[b, 0], xy[b, 1]
        cx, cy = xy[c, 0], xy[c, 1]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0.0:
            continue
        left = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        right = min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        top = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        bottom = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        for row in range(top, bottom + 1):
            for col in range(left, right + 1):
                px, py = col + 0.5, row + 0.5
                wb = ((px - ax) * (cy - ay) - (cx - ax) * (py - ay)) / area
                wc = ((bx - ax) * (py - ay) - (px - ax) * (by - ay)) / area
                wa = 1.0 - wb - wc
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                z = wa * depth[a] + wb * depth[b] + wc * depth[c]
                if z < z_buffer[row, col]:
                    z_buffer[row, col] = z
                    index[row, col] = t
                    weights[row, col, 0] = wa
                    weights[row, col, 1] = wb
                    weights[row, col, 2] = wc


def rotation_y(degrees: float) -> NDArray[np.float64]:
    """Turn the head to the viewer's right (positive angles)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def vertex_normals(vertices: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.float64]:
    """Area-weighted unit normals."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    face_normals = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, triangles[:, k], face_normals)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)


class View:
    """An orthographic camera: `size` pixels show `extent_m` meters about `center`, the head turned by `rotation`."""

    def __init__(
        self,
        size: int = 400,
        extent_m: float = 0.3,
        rotation: NDArray[np.float64] | None = None,
        center: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.size, self.extent_m, self.center = size, extent_m, center
        self.rotation = np.eye(3) if rotation is None else rotation

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixel coordinates and depth (nearer is smaller)."""
        turned = points @ self.rotation.T
        scale = self.size / self.extent_m
        x = (turned[..., 0] - self.center[0]) * scale + self.size / 2
        y = -(turned[..., 1] - self.center[1]) * scale + self.size / 2
        return np.stack([x, y, -turned[..., 2]], axis=-1)

    def rasterize(
        self, vertices: NDArray[np.float64], triangles: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Triangle index (-1 outside) and barycentric weights per pixel."""
        projected = self.project(vertices)
        index = np.full((self.size, self.size), -1, np.int64)
        weights = np.zeros((self.size, self.size, 3))
        z_buffer = np.full((self.size, self.size), np.inf)
        _fill(projected[:, :2].copy(), projected[:, 2].copy(), triangles, index, weights, z_buffer)
        return index, weights

    def shade(
        self,
        vertices: NDArray[np.float64],
        triangles: NDArray[np.int64],
        colours: NDArray[np.float64] | None = None,
        background: float = 1.0,
    ) -> NDArray[np.uint8]:
        """Lambert shading with one light from above the viewer's left shoulder; `colours` per vertex."""
        index, weights = self.rasterize(vertices, triangles)
        normals = vertex_normals(vertices, triangles) @ self.rotation.T
        light = np.array([-0.35, 0.45, 0.82]) / np.linalg.norm([-0.35, 0.45, 0.82])
        shading = 0.35 + 0.75 * np.clip(normals @ light, 0.0, None)
        lit = (np.full((len(vertices), 3), 0.75) if colours is None else colours) * shading[:, None]
        picture = np.full((self.size, self.size, 3), background)
        inside = index >= 0
        picture[inside] = (lit[triangles[index[inside]]] * weights[inside][..., None]).sum(1)
        return (np.clip(picture, 0.0, 1.0) * 255).astype(np.uint8)


def sheet(pictures: list[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Arrange equal pictures in rows."""
    rows = -(-len(pictures) // columns)
    blank = np.full_like(pictures[0], 255)
    padded = pictures + [blank] * (rows * columns - len(pictures))
    return np.concatenate(
        [np.concatenate(padded[r * columns : (r + 1) * columns], axis=1) for r in range(rows)], axis=0
    )
