import morphable_losses

PUBLIC = """
DfmvrWeights Embedder ExactErrors FacenetEmbedder LandmarkErrors PriorErrors TotalLoss
Wm3drTerms Wm3drWeights albedo_variance center_focal_loss coefficient_norm exact_errors facenet_embedder
landmark_3d_loss landmark_errors landmark_loss landmark_weights light_prior opening_errors parsing_loss
perception_loss photo_weights photometric_mask pixel_loss point_color_errors point_distance
position_map_loss position_map_weights prior_errors vertex_displacement weighted_photo_loss wing_loss
wm3dr_loss wpdc_loss
"""


def test_public_names():
    assert morphable_losses.__all__ == PUBLIC.split()
    assert all(hasattr(morphable_losses, name) for name in morphable_losses.__all__)
