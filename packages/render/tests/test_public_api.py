import subprocess
import sys

import morphable_render

PUBLIC = """
BACKENDS GLOBAL_FOCAL_PX NEAR_M FaceImage Fragments RenderedPixels SurfacePixels camera_from_model decode_translation
encode_translation euler_xyz_from_rotation head_angles interpolate interpolate_at intrinsic_matrix irradiance_sh
lighting_normals model_from_camera project quaternion_from_rotation rasterize rasterize_faces render_faces render_pixels
rotation_from_6d rotation_from_angles rotation_from_euler_xyz rotation_from_quaternion rotation_from_vector
scatter_to_image sh_basis shade_sh six_d_from_rotation surface_pixels unproject vector_from_rotation vertex_normals
"""


def test_public_names_are_these():
    assert sorted(morphable_render.__all__) == sorted(PUBLIC.split())
    assert all(hasattr(morphable_render, name) for name in morphable_render.__all__)


def test_import_does_not_need_the_optional_backend():
    code = "import sys, morphable_render; print('pytorch3d' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
