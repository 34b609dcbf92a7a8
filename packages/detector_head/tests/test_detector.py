from dataclasses import replace

import pytest
import torch

from morphable_detector_head import PRESETS, DetectorConfig, FaceDetector, build_detector
from morphable_detector_head.cells import cells_from_parameters
from morphable_detector_head.detector import check_image
from morphable_detector_head.heads import ParameterHead, gather_patches
from morphable_detector_head.layout import ParameterLayout
from morphable_detector_head.presets import WM3DR_OFFICIAL

TINY = DetectorConfig(
    backbone="mobilenet_v3_small",
    width=8,
    center_width=8,
    parameter_width=16,
    layout=ParameterLayout(num_identity=3, num_expression=2, num_albedo=1),
)


def tiny_detector(seed: int = 0) -> FaceDetector:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        detector = build_detector(TINY)
        torch.nn.init.normal_(detector.center_head.output.weight, std=3.0)
        torch.nn.init.normal_(detector.parameter_head.output.weight, std=0.1)
    return detector.eval()


def pictures(batch: int, height: int = 96, width: int = 64) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_normalisation():
    from morphable_detector_head.aggregation import L2Normalize

    # (3, 4) has length 5 and the first scale is 10
    layer = L2Normalize(2)
    features = torch.tensor([[[[3.0, 0.0]], [[4.0, 0.0]]]], requires_grad=True)
    normalized = layer(features)
    torch.testing.assert_close(normalized[0, :, 0, 0], torch.tensor([6.0, 8.0]))
    assert (normalized[0, :, 0, 1] == 0).all()
    assert torch.autograd.grad(normalized.sum(), features)[0].isfinite().all()


def test_patches_are_a_convolutions():
    features = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    unfolded = torch.nn.functional.unfold(features, 3, padding=1).transpose(1, 2)
    cells = torch.tensor([[0, 3, 19, 16, 7], [1, 2, 0, 0, 18]])
    for image in range(2):
        torch.testing.assert_close(gather_patches(features, cells)[image], unfolded[image, cells[image]])


def test_parameters_at_cells_equal_the_dense_head():
    head = ParameterHead(6, 16, 11).double()
    features = torch.rand(2, 6, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cells = torch.arange(20).expand(2, -1)
    dense = head(features).flatten(2).transpose(1, 2)
    torch.testing.assert_close(head.at_cells(features, cells), dense)
    assert head.at_cells(features, cells[:, :0]).shape == (2, 0, 11)


def test_top_k_detection_equals_the_dense_network():
    detector, image = tiny_detector(), pictures(2)
    with torch.no_grad():
        detections = detector.detect(image, top_k=4, min_score=0.0)
        logits, channels = detector.dense(image)
    for row in range(2):
        for entry in detections.valid[row].nonzero()[:, 0].tolist():
            x, y = ((detections.center_px[row, entry] - 4) / 8).long().tolist()
            score = logits[row, y, x].sigmoid()
            torch.testing.assert_close(detections.score[row, entry], score)
            expected = channels[row, :3, y, x]
            torch.testing.assert_close(detections.parameters.identity[row, entry], expected)


def test_batch_equals_single():
    detector, image = tiny_detector(), pictures(3)
    with torch.no_grad():
        together = detector.detect(image, top_k=4)
        for index in range(3):
            alone = detector.detect(image[index : index + 1], top_k=4)
            count = alone.score.shape[1]
            assert together.valid[index].sum() == alone.valid.sum()
            torch.testing.assert_close(together.score[index, :count], alone.score[0])
            own = alone.parameters.translation_m[0]
            torch.testing.assert_close(together.parameters.translation_m[index, :count], own)


def test_training_path_reads_the_given_cells():
    detector, image = tiny_detector(), pictures(2)
    cell = torch.tensor([[0, 5], [95, 7]])
    predictions = detector(image, cell)
    logits, channels = detector.dense(image)
    torch.testing.assert_close(predictions.center_logits, logits)
    torch.testing.assert_close(predictions.channels[1, 0], channels[1, :, 11, 7])
    encoded = cells_from_parameters(
        predictions.parameters,
        torch.tensor([[[4.0, 4.0], [44.0, 4.0]], [[60.0, 92.0], [60.0, 4.0]]]),
        (96, 64),
        TINY.layout,
    )
    torch.testing.assert_close(encoded, predictions.channels, atol=1e-5, rtol=1e-4)  # float32 round trip


def test_gradients_reach_every_parameter():
    detector = tiny_detector().train()
    predictions = detector(pictures(2), torch.tensor([[3], [9]]))
    (predictions.center_logits.sum() + predictions.channels.square().sum()).backward()
    missing = [name for name, parameter in detector.named_parameters() if parameter.grad is None]
    assert missing == []


def test_no_faces_train():
    detector = tiny_detector().train()
    predictions = detector(pictures(2), torch.zeros(2, 0, dtype=torch.long))
    assert predictions.parameters.rotation_head.shape == (2, 0, 3, 3)
    (predictions.center_logits.sum() + predictions.channels.sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in detector.parameters())


def test_fresh_network_says_no_face_almost_everywhere():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        detector = build_detector(TINY)
    with torch.no_grad():
        logits, channels = detector.eval().dense(pictures(1))
    assert logits.sigmoid().mean() < 0.1
    assert channels.abs().max() < 0.5


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_build(name: str):
    with torch.device("meta"):
        detector = build_detector(PRESETS[name])
    assert detector.parameter_head.output.out_channels == 257


def test_official_shape():
    """Layer shapes of section III-A1 and of the released code."""
    with torch.device("meta"):
        state = {key: tuple(value.shape) for key, value in build_detector(WM3DR_OFFICIAL).state_dict().items()}
    assert state["aggregation.lateral3.weight"] == (256, 512, 3, 3)
    assert state["aggregation.lateral4.weight"] == (1024, 256, 4, 4)
    assert state["aggregation.lateral5.weight"] == (2048, 256, 4, 4)
    assert state["aggregation.fuse.0.weight"] == (256, 768, 3, 3)
    assert state["center_head.hidden.weight"] == (256, 256, 3, 3)
    assert state["center_head.output.weight"] == (1, 256, 1, 1)
    assert state["parameter_head.output.weight"] == (257, 256, 1, 1)


def test_bgr_input_swaps_channels():
    detector, image = tiny_detector(), pictures(1)
    swapped = FaceDetector(replace(TINY, bgr_input=True), detector.backbone)
    swapped.load_state_dict(detector.state_dict())
    torch.testing.assert_close(swapped.eval().features(image.flip(1)).fused, detector.features(image).fused)


def test_refusals():
    with pytest.raises(ValueError, match="multiples of 32 pixels, got 100x64; pad symmetrically"):
        check_image(torch.zeros(1, 3, 100, 64))
    with pytest.raises(ValueError, match=r"shape \(batch, 3, height, width\), got 1x64x64x3; move"):
        check_image(torch.zeros(1, 64, 64, 3))
    with pytest.raises(ValueError, match=r"got torch\.uint8; divide"):
        check_image(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    with pytest.raises(ValueError, match="width must be positive, got 0"):
        DetectorConfig(width=0)
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        tiny_detector().detect(torch.zeros(1, 3, 32, 32), top_k=0)
