import morphable_losses

PUBLIC = """
DfmvrWeights Embedder FacenetEmbedder LinearFace TotalLoss Wm3drTerms Wm3drWeights albedo_variance
center_focal_loss coefficient_norm facenet_embedder landmark_3d_loss landmark_loss landmark_weights
light_prior parsing_loss perception_loss photo_weights photometric_mask pixel_loss position_map_loss
position_map_weights vertex_displacement weighted_photo_loss wing_loss wm3dr_loss wpdc_loss
"""


def test_public_names():
    assert morphable_losses.__all__ == PUBLIC.split()
    assert all(hasattr(morphable_losses, name) for name in morphable_losses.__all__)
