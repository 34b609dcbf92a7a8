"""The model class: decoding, symmetry, landmarks, regions."""

import importlib.util
from pathlib import Path

import torch

spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("tiny.py"))
assert spec is not None
assert spec.loader is not None
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)


def test_mirrored_coefficients_decode_to_the_mirrored_face():
    model = tiny.tiny_model()
    generator = torch.Generator().manual_seed(1)
    identity, expression = torch.randn(2, 4, generator=generator), torch.rand(2, 3, generator=generator)
    mirrored = model.decode_shape(model.flip_identity(identity), model.flip_expression(expression))
    torch.testing.assert_close(mirrored, model.mirror(model.decode_shape(identity, expression)))
