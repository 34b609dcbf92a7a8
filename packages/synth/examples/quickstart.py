"""Render one made-up scene with nothing but the package, and print its labels."""

from morphable_synth import SceneConfig, render_scene, sample_scene

sample = render_scene(sample_scene(seed=0, index=3, config=SceneConfig(size_px=256, max_faces=3, max_face_px=90.0)))
print("image", sample.image.shape, sample.image.dtype)
for name in ("identity", "expression", "rotation_head", "translation_m", "landmarks68_px", "box_xyxy_px"):
    print(name, getattr(sample, name).shape)
for name in ("part", "face_index", "skin_mask", "depth_m"):
    print(name, getattr(sample, name).shape)
