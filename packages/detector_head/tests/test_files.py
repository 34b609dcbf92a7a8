from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import morphable
from morphable_detector_head import DetectorConfig, FaceDetector, build_detector, load_detector, save_detector
from morphable_detector_head.backbones import build_backbone, build_classifier, describe_backbone
from morphable_detector_head.layout import ParameterLayout

CONFIG = DetectorConfig(
    backbone="mobilenet_v3_small",
    width=8,
    center_width=8,
    parameter_width=8,
    layout=ParameterLayout(num_identity=3, num_expression=2, num_albedo=1, depth="offset"),
)


@pytest.fixture(scope="module")
def model() -> morphable.MorphableModel:
    return morphable.load_model("open")


def save(detector: FaceDetector, path: Path, model: morphable.MorphableModel, **options: torch.dtype) -> Path:
    save_detector(detector, path, model, name="tiny", license="CC0", training_data="none", **options)
    return path


@pytest.fixture
def path(tmp_path: Path, model: morphable.MorphableModel) -> Path:
    return save(build_detector(CONFIG), tmp_path / "x.safetensors", model)


def test_round_trip(tmp_path: Path, model: morphable.MorphableModel):
    detector = build_detector(CONFIG).eval()
    loaded = load_detector(save(detector, tmp_path / "x.safetensors", model, dtype=torch.float32), model)
    assert loaded.config == CONFIG
    assert not loaded.training
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loaded.dense(image), detector.dense(image), rtol=0, atol=0)


def test_stored_in_half_precision_loaded_in_single(path: Path):
    assert all(value.dtype == torch.float16 for value in load_file(path).values())
    assert load_detector(path).center_head.output.weight.dtype == torch.float32
    assert morphable.read_weights_info(path).license == "CC0"


def test_another_face_model(path: Path, model: morphable.MorphableModel):
    info, state = morphable.read_weights(path)
    other = replace(info.model, name="bfm09", sha256="0" * 64)
    morphable.write_weights(path, replace(info, model=other), state)
    with pytest.raises(ValueError, match=r'model must be the one the weights "tiny" were trained with \(bfm09 '):
        load_detector(path, model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 4}, "fit the network they describe"),
        ({"new": 1}, "a network this version knows, got .*no unknown keys, got new"),
        ({"network": "prnet"}, "must be a detector's, got those of prnet"),
    ],
)
def test_weights_that_do_not_fit(path: Path, change: dict[str, object], message: str):
    info, state = morphable.read_weights(path)
    morphable.write_weights(path, replace(info, architecture=info.architecture | change), state)
    with pytest.raises(ValueError, match=message):
        load_detector(path)


class TestBackboneWeights:
    def test_local_file(self, tmp_path: Path):
        network = build_classifier("mobilenet_v2_tf").eval()
        save_file(network.state_dict(), tmp_path / "w.safetensors")
        torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, tmp_path / "w.pth")
        image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        expected = network.features[:18](image)
        for name in ("w.safetensors", "w.pth"):
            backbone = build_backbone("mobilenet_v2_tf", weights=tmp_path / name).eval()
            torch.testing.assert_close(backbone(image)[3], expected)
        detector = build_detector(replace(CONFIG, backbone="mobilenet_v2_tf"), backbone_weights=tmp_path / "w.pth")
        torch.testing.assert_close(detector.backbone.eval()(image)[3], expected)

    def test_tensorflow_padding(self):
        """The first convolution of a 4x4 picture sees rows 0-2 and 2-4 (the last is padding)."""
        network = build_classifier("mobilenet_v2_tf")
        conv = network.features[0][0]
        conv.weight.data.fill_(1)
        image = torch.arange(16.0).view(1, 1, 4, 4).expand(1, 3, 4, 4)
        # sums of the windows of 0..15: rows 0-2 x cols 0-2 = 45, cols 2-3 = 2+3+6+7+10+11 = 39, ...
        expected = 3 * torch.tensor([[45.0, 39.0], [8 + 9 + 10 + 12 + 13 + 14, 10 + 11 + 14 + 15]])
        torch.testing.assert_close(conv(image)[0, 0], expected)
        own = build_classifier("mobilenet_v2")
        assert own.features[0][0].padding == (1, 1)

    def test_refusals(self, tmp_path: Path):
        save_file(build_classifier("mobilenet_v2").state_dict(), tmp_path / "w.safetensors")
        with pytest.raises(ValueError, match="must hold resnet18 under torchvision's names"):
            build_backbone("resnet18", weights=tmp_path / "w.safetensors")
        with pytest.raises(ValueError, match="must be a local file for mobilenet_v2_tf"):
            build_backbone("mobilenet_v2_tf", weights="imagenet")
        with pytest.raises(FileNotFoundError, match="does not exist"):
            build_backbone("mobilenet_v2", weights=tmp_path / "nothing.pth")
        (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 cut")
        with pytest.raises(ValueError, match="must be a complete file of tensors"):
            build_backbone("mobilenet_v2", weights=tmp_path / "cut.pth")
        torch.save({"state_dict": 3}, tmp_path / "other.pth")
        with pytest.raises(ValueError, match="must hold a dictionary of tensors"):
            build_backbone("mobilenet_v2", weights=tmp_path / "other.pth")
        torch.save(Path("x"), tmp_path / "code.pth")
        with pytest.raises(ValueError, match="must be a complete file of tensors"):
            build_backbone("mobilenet_v2", weights=tmp_path / "code.pth")

    def test_imagenet_goes_through_torchvision(self, monkeypatch: pytest.MonkeyPatch):
        import torchvision

        stand_in = build_classifier("resnet18").state_dict()
        entry = torchvision.models.ResNet18_Weights.DEFAULT
        monkeypatch.setattr(type(entry), "get_state_dict", lambda *_, **__: stand_in)
        backbone = build_backbone("resnet18", weights="imagenet")
        torch.testing.assert_close(backbone.stages[0][0].weight, stand_in["conv1.weight"])

        def refuse(*_: object, **__: object) -> None:
            raise OSError("no route")

        monkeypatch.setattr(type(entry), "get_state_dict", refuse)
        with pytest.raises(OSError, match=r"could not be fetched \(no route\); pass a local file"):
            build_backbone("resnet18", weights="imagenet")

    @pytest.mark.parametrize(
        ("name", "channels"),
        [
            ("resnet18", (64, 128, 256, 512)),
            ("resnet50", (256, 512, 1024, 2048)),
            ("mobilenet_v2", (24, 32, 96, 320)),
            ("mobilenet_v2_tf", (24, 32, 96, 320)),
            ("mobilenet_v3_large", (24, 40, 112, 160)),
            ("mobilenet_v3_small", (16, 24, 48, 96)),
        ],
    )
    def test_shapes(self, name: str, channels: tuple[int, int, int, int]):
        with torch.device("meta"):
            outputs = build_backbone(name)(torch.zeros(1, 3, 64, 96))
        assert channels[0] == describe_backbone(name).fine_channels
        assert [tuple(x.shape[1:]) for x in outputs] == [
            (c, 64 // s, 96 // s) for c, s in zip(channels, (4, 8, 16, 32), strict=True)
        ]
