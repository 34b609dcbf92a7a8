"""Weights carried over to a face model with another albedo basis (`tools/rebase_weights.py`)."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import torch

from morphable_detector_head import DetectorConfig, build_detector

_TOOL = Path(__file__).parents[1] / "tools/rebase_weights.py"


def _tool():  # type: ignore[no-untyped-def]  # a script, not a module of the package
    spec = importlib.util.spec_from_file_location("rebase_weights", _TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_carried_detector_gives_mapped_albedo_and_everything_else_as_before():
    generator = torch.Generator().manual_seed(0)
    config = DetectorConfig(backbone="mobilenet_v2_tf", width=16, center_width=8, parameter_width=16, color_width=8)
    before = build_detector(config).eval()
    for parameter in before.color_head.parameters():  # type: ignore[union-attr]
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    count = config.layout.num_albedo
    matrix = torch.randn(count, count, generator=generator, dtype=torch.float64)
    offset = torch.randn(count, generator=generator, dtype=torch.float64)
    after = build_detector(replace(config, color_width=8 + 2 * count)).eval()
    after.load_state_dict(_tool().with_albedo_step(before.state_dict(), config.layout, matrix, offset))
    image, cell = torch.rand(1, 3, 64, 64, generator=generator), torch.tensor([[3, 20]])
    with torch.no_grad():
        old, new = (network(image, cell) for network in (before, after))
    first = config.layout.num_identity + config.layout.num_expression
    albedo = slice(first, first + count)
    expected = old.channels[..., albedo].double() @ matrix.T + offset
    torch.testing.assert_close(new.channels[..., albedo].double(), expected, atol=1e-4, rtol=1e-4)
    kept = torch.ones(old.channels.shape[-1], dtype=torch.bool)
    kept[albedo] = False
    torch.testing.assert_close(new.channels[..., kept], old.channels[..., kept], atol=1e-5, rtol=1e-5)
