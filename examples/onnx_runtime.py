"""Write every face of a photograph as a mesh with ONNX Runtime; nothing of this project is imported.

morphable-detector export mobile --model open -o mobile.onnx        # makes the graph
python examples/onnx_runtime.py mobile.onnx PHOTO OUT.obj
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

SIDE_PX, MULTIPLE_PX, PADDING_RGB = 704, 32, (124, 116, 104)
graph, photo, target = sys.argv[1:]

picture = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
scaled = ImageOps.contain(picture, (SIDE_PX, SIDE_PX))
width, height = (-(-side // MULTIPLE_PX) * MULTIPLE_PX for side in scaled.size)
left, top = (width - scaled.width) // 2, (height - scaled.height) // 2  # both borders alike: the center stays
padded = Image.new("RGB", (width, height), PADDING_RGB)
padded.paste(scaled, (left, top))

session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
image = np.asarray(padded, np.float32).transpose(2, 0, 1)[None] / 255
found = dict(zip(names, session.run(names, {"image": image}), strict=True))

with Path(target).open("w") as obj:
    for number, face in enumerate(np.flatnonzero(found["valid"][0])):
        points_px = (found["landmarks68_px"][0, face] - [left, top]) * picture.width / scaled.width
        print(f"face {number}: score {found['score'][0, face]:.2f}, tip of the nose at {points_px[30].round(1)} px")
        vertices = found["vertices_cam_m"][0, face] * [1, -1, -1]  # y up, toward the viewer
        obj.write(f"o face_{number}\n" + "".join("v {:.5f} {:.5f} {:.5f}\n".format(*xyz) for xyz in vertices))
        corners = found["triangles"] + 1 + number * len(vertices)
        obj.write("".join("f {} {} {}\n".format(*triangle) for triangle in corners))
