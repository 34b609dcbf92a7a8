import subprocess
import sys

import morphable_render

PUBLIC = """
BACKENDS BakedTexture FaceImage Fragments NEAR_M PositionMapKind PositionMapLayout RenderedPixels SceneViews
SurfacePixels UvLayout UvMesh bake_texture position_map_layout interpolate interpolate_at irradiance_sh
lighting_normals mirror_illumination mirrored_uv pncc_colors rasterize rasterize_faces render_faces
render_pixels render_view sample_image scatter_to_image sh_basis shade_sh stand_in_pinhole surface_pixels
surface_visibility uv_at_surface uv_layout uv_map_from_vertices uv_mesh vertex_normals vertices_from_uv_map
view_rotation views
"""


def test_public_names_are_these():
    assert sorted(morphable_render.__all__) == sorted(PUBLIC.split())
    assert all(hasattr(morphable_render, name) for name in morphable_render.__all__)


def test_import_does_not_need_the_optional_backend():
    code = "import sys, morphable_render; print('pytorch3d' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
