"""All faces of a photograph in 3D."""

from morphable_reconstruct import Reconstructor

reconstructor = Reconstructor("mobile")  # weights and face model come with the packages
scene = reconstructor("examples/astronaut.jpg")  # a path, PIL image, array or tensor; many(...) streams
face = scene[0]  # the best score; `for face in scene` for all
print(f"score {face.score:.2f}, depth {face.translation_m[2]:.2f} m, yaw {face.angles.degrees['yaw']:.1f} degrees")
print(face.landmarks68_px.shape, face.vertices_cam_m.shape, f"jaw open {face.expressions['jawOpen']:.2f}")
print(scene.depth_m.shape, scene.segmentation.shape, scene.overlay().shape)
scene.save("astronaut.glb")  # also .obj, .ply, .json, .npz, .csv
