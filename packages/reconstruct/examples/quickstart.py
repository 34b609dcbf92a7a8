"""All faces of a photograph in 3D."""

from skimage.data import astronaut

from morphable_reconstruct import Reconstructor

reconstructor = Reconstructor("mobile")  # weights and face model come with the packages
scene = reconstructor(astronaut())  # a path, PIL image, array or tensor; many(...) streams
for face in scene:
    print(f"score {face.score:.2f}, {face.translation_m[2]:.2f} m away, yaw {face.angles.degrees['yaw']:+.0f} degrees")
    print(face.landmarks68_px.shape, face.vertices_cam_m.shape, f"jaw open {face.expressions['jawOpen']:.2f}")
print(scene.depth_m.shape, scene.segmentation.shape, scene.overlay().shape)
scene.save("astronaut.glb")  # also .obj, .ply, .json, .npz, .csv
