"""A made-up face surface in millimeters with its seven landmarks."""

import numpy as np

LANDMARKS_XY = np.array([[-45.0, 35], [-17, 33], [17, 33], [45, 35], [0, -12], [-25, -42], [25, -42]])
"""NoW's order: outer and inner right eye corner, inner and outer left, nose bottom, right and left mouth corner."""


def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A head-like bump with a nose, eye sockets and a mouth."""
    head = 70 * np.exp(-(x**2 / 6000 + y**2 / 9000))
    nose = 22 * np.exp(-(x**2 / 160 + (y + 4) ** 2 / 300))
    eyes = -6 * np.exp(-((np.abs(x) - 31) ** 2 / 150 + (y - 34) ** 2 / 60))
    mouth = 4 * np.exp(-(x**2 / 500 + (y + 42) ** 2 / 40))
    return head + nose + eyes + mouth


def face(columns: int = 90, offset: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of a grid over the face; `offset` shifts the grid so that vertices differ."""
    x, y = np.meshgrid(np.linspace(-90, 90, columns) + offset, np.linspace(-110, 110, columns) + offset)
    vertices = np.stack([x, y, height(x, y)], axis=-1).reshape(-1, 3)
    index = np.arange(columns * columns).reshape(columns, columns)
    a, b, c, d = (q.ravel() for q in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    return vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def landmarks() -> np.ndarray:
    """The seven points on the surface."""
    return np.column_stack([LANDMARKS_XY, height(*LANDMARKS_XY.T)])


def normals(vertices: np.ndarray) -> np.ndarray:
    """Unit normals of the surface at its vertices, by differences of the height."""
    x, y, step = vertices[:, 0], vertices[:, 1], 1e-4
    dx = (height(x + step, y) - height(x - step, y)) / (2 * step)
    dy = (height(x, y + step) - height(x, y - step)) / (2 * step)
    n = np.column_stack([-dx, -dy, np.ones(len(x))])
    return n / np.linalg.norm(n, axis=1, keepdims=True)
