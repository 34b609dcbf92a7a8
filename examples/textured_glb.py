"""Write a textured GLB of every face in a photograph.

python examples/textured_glb.py PHOTO OUT.glb
"""

import sys

from morphable_reconstruct import Reconstructor

photo, target = sys.argv[1:]
scene = Reconstructor("mobile")(photo)
scene.save(target)
print(scene)
for face in scene:
    print(face)
