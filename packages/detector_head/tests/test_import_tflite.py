import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from morphable_detector_head.backbones import build_classifier

DATA = Path(__file__).parents[3].parent / "shared/data"
MODEL = DATA / "helper_models/tf2_mobilenet_v2_1.0_224_ptq.tflite"
PHOTOGRAPHS = DATA / "backgrounds"
NUM_PHOTOGRAPHS = 6


@pytest.fixture(scope="module")
def tool():
    pytest.importorskip("ai_edge_litert", reason="the tool runs tflite files")
    if not (MODEL.exists() and PHOTOGRAPHS.exists()):
        pytest.skip(f"{MODEL} or {PHOTOGRAPHS} is not here")
    path = Path(__file__).parents[1] / "tools/import_tflite_mobilenet_v2.py"
    spec = importlib.util.spec_from_file_location("import_tflite_mobilenet_v2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore:Warning. Enabling `experimental_preserve_all_tensors`:UserWarning")
def test_converted_network_agrees_with_tflite(tool):
    images = tool.read_photographs(PHOTOGRAPHS)[:NUM_PHOTOGRAPHS]
    network = build_classifier(tool.BACKBONE).eval()
    pairs = tool.fill_network(network, list(tool.read_convolutions(MODEL)))
    folded = tool.logits(network, images, NUM_PHOTOGRAPHS)
    expected = tool.tflite_logits(MODEL, images)
    for ours, theirs in zip(folded, expected, strict=True):
        # measured: 0.987 at worst on 207 photographs; the file computes with 8-bit activations
        assert torch.corrcoef(torch.stack([ours, theirs]))[0, 1] > 0.98
    tool.measure_statistics(network, pairs, images, NUM_PHOTOGRAPHS)
    with_norms = tool.logits(network, images, NUM_PHOTOGRAPHS)
    torch.testing.assert_close(with_norms, folded, atol=1e-3, rtol=1e-3)  # 53 layers of float32 rounding
    norm = network.features[0][1]
    assert (norm.running_var != 1 - norm.eps).all()
