"""Geometry that every package shares: camera, rotations, similarity fits, poses, meshes, boxes.

The frames and units are those of docs/conventions.md: meters, pixels, radians; +x right, +y down, +z into the scene
in the camera; +y up, +z out of the face in the model.
"""

from morphable.geometry.boxes import box_iou, box_of_points, distinct_boxes, share_of_smaller
from morphable.geometry.camera import GLOBAL_FOCAL_PX, MIN_DEPTH_M, Pinhole, camera_from_model, model_from_camera
from morphable.geometry.linearization import derivative_by_step, linearize_projection, solve_normal_equations
from morphable.geometry.mesh import (
    SparseRows,
    SurfacePoints,
    apply_rows,
    mirror_points,
    points_at_vertices,
    triangles_of_vertices,
    vertex_normals,
)
from morphable.geometry.reprojection import ResolvedPose, mirror_pose, resolve_pose
from morphable.geometry.rotation import (
    AXES_FLIP,
    axes_flip,
    euler_xyz_from_rotation,
    head_angles,
    ray_rotation,
    rotation_between,
    rotation_from_angles,
    rotation_from_euler_xyz,
    rotation_from_vector,
    skew,
    vector_from_rotation,
)
from morphable.geometry.similarity import fit_similarity, nearest_rotation

__all__ = [
    "AXES_FLIP",
    "GLOBAL_FOCAL_PX",
    "MIN_DEPTH_M",
    "Pinhole",
    "ResolvedPose",
    "SparseRows",
    "SurfacePoints",
    "apply_rows",
    "axes_flip",
    "box_iou",
    "box_of_points",
    "camera_from_model",
    "derivative_by_step",
    "distinct_boxes",
    "euler_xyz_from_rotation",
    "fit_similarity",
    "head_angles",
    "linearize_projection",
    "mirror_points",
    "mirror_pose",
    "model_from_camera",
    "nearest_rotation",
    "points_at_vertices",
    "ray_rotation",
    "resolve_pose",
    "rotation_between",
    "rotation_from_angles",
    "rotation_from_euler_xyz",
    "rotation_from_vector",
    "share_of_smaller",
    "skew",
    "solve_normal_equations",
    "triangles_of_vertices",
    "vector_from_rotation",
    "vertex_normals",
]
