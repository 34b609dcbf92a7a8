"""The public names, and that they are what they say."""

import morphable_reconstruct


def test_public_names():
    names = "Camera Engine Face FaceTexture HeadAngles Photograph Pose ReconstructConfig Reconstructor RunConfig Scene"
    names += " SceneImage ServeConfig Source TooManyPixelsError TorchEngine TrackedFrame VideoConfig ViewConfig"
    names += " albedo_texture change_camera draw_cells find_sources landmarks_around_peaks load_photograph"
    names += " photo_texture prediction_rows run track write_predictions"
    assert morphable_reconstruct.__all__ == names.split()
    assert set(morphable_reconstruct._MODULE_OF) == set(morphable_reconstruct.__all__)
    for name in morphable_reconstruct.__all__:
        assert getattr(morphable_reconstruct, name).__name__ == name
