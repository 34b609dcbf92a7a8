import subprocess
import sys

import morphable_render

PUBLIC = """
BACKENDS BakedTexture FaceImage Fragments GLOBAL_FOCAL_PX NEAR_M RefocusedPose RenderedPixels SceneViews SurfacePixels
UvLayout UvMesh bake_texture camera_from_model decode_translation encode_translation euler_xyz_from_rotation
head_angles interpolate interpolate_at intrinsic_matrix irradiance_sh lighting_normals mirrored_uv model_from_camera
pinhole_from_scaled_orthographic pncc_colors project project_scaled_orthographic quaternion_from_rotation rasterize
rasterize_faces refocus render_faces render_pixels render_view rotation_from_6d rotation_from_angles
rotation_from_euler_xyz rotation_from_quaternion rotation_from_vector sample_image scaled_orthographic_from_pinhole
scatter_to_image sh_basis shade_sh six_d_from_rotation stand_in_pinhole surface_pixels surface_visibility unproject
uv_at_surface uv_layout uv_map_from_vertices uv_mesh vector_from_rotation vertex_normals vertices_from_uv_map
view_rotation views
"""


def test_public_names_are_these():
    assert sorted(morphable_render.__all__) == sorted(PUBLIC.split())
    assert all(hasattr(morphable_render, name) for name in morphable_render.__all__)


def test_import_does_not_need_the_optional_backend():
    code = "import sys, morphable_render; print('pytorch3d' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
