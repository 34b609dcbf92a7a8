"""Compile the Triton kernels for a CUDA capability given as the only argument, without such a GPU."""

import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from morphable_render import _raster_triton


def main(capability: int) -> None:
    """Compile every variant; raises where Triton refuses one."""
    points, indices, sizes = (
        ("screen", "focal_px"),
        ("triangles", "image_index", "z_bits", "owner"),
        ("width", "height"),
    )
    types = dict.fromkeys(points, "*fp64") | dict.fromkeys(indices, "*i64") | dict.fromkeys(sizes, "i32")
    types |= {"camera": "*fp32", "near_m": "fp32", "face_out": "*i64", "triangle_out": "*i64"}
    types |= dict.fromkeys(("barycentric_out", "depth_out"), "*fp32")
    types |= dict.fromkeys(("num_faces", "num_vertices", "num_triangles", "num_pixels"), "i32")
    draw = [{"SHARED": True, "PASS": p, "CROSSING": c, "BLOCK": 128} for p in (0, 1) for c in (False, True)]
    for kernel, variants in (
        (_raster_triton._draw, draw),
        (_raster_triton._resolve, [{"SHARED": True, "BLOCK": 256}]),
    ):
        for constants in variants:
            signature = {name: "constexpr" if name in constants else types[name] for name in kernel.arg_names}
            source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
            done = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"enable_fp_fusion": False})
            if not done.asm["cubin"]:
                raise RuntimeError(f"no machine code for {constants}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
