import math
from pathlib import Path

import pytest
import torch

from morphable_detector_head import load_official
from morphable_detector_head.backbones import build_classifier
from morphable_detector_head.presets import WM3DR_OFFICIAL

HEIGHT = WIDTH = 128
FOCAL = 1015.0


def official_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under the official names and shapes."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int, std: float = 0.02) -> torch.Tensor:
        return std * torch.randn(*shape, generator=generator)

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        state = build_classifier("resnet50").state_dict()
    state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    state |= {"p3.weight": random(256, 512, 3, 3), "p3.bias": random(256)}
    state |= {"p4.weight": random(1024, 256, 4, 4), "p4.bias": random(256)}
    state |= {"p5.weight": random(2048, 256, 4, 4), "p5.bias": random(256)}
    state |= {f"p{level}_l2.weight": 10 + random(256) for level in (3, 4, 5)}
    state |= {"feat.weight": random(256, 768, 3, 3), "feat_bn.weight": 1 + random(256)}
    state |= {"feat_bn.bias": random(256), "feat_bn.running_mean": random(256)}
    state |= {"feat_bn.running_var": torch.ones(256), "feat_bn.num_batches_tracked": torch.tensor(5)}
    for head, channels in (("hm", 1), ("params", 257)):
        state |= {f"{head}.0.weight": random(256, 256, 3, 3), f"{head}.0.bias": random(256)}
        state |= {f"{head}.2.weight": random(channels, 256, 1, 1, std=0.1)}
        state |= {f"{head}.2.bias": random(channels, std=0.1)}
    return state


def official_forward(state: dict[str, torch.Tensor], image_rgb: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The official network's two maps, from its description: BGR, ImageNet's RGB-ordered constants."""
    functional = torch.nn.functional
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    network = build_classifier("resnet50").eval()
    network.load_state_dict(state, strict=False)
    x = (image_rgb.flip(1) - mean) / std
    x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
    c3 = network.layer2(network.layer1(x))
    c4 = network.layer3(c3)
    c5 = network.layer4(c4)
    p3 = functional.conv2d(c3, state["p3.weight"], state["p3.bias"], padding=1)
    p4 = functional.conv_transpose2d(c4, state["p4.weight"], state["p4.bias"], stride=2, padding=1)
    p5 = functional.conv_transpose2d(c5, state["p5.weight"], state["p5.bias"], stride=4)
    levels = [
        level / level.norm(dim=1, keepdim=True) * state[f"p{n}_l2.weight"].view(1, -1, 1, 1)
        for n, level in ((3, p3), (4, p4), (5, p5))
    ]
    fused = functional.conv2d(torch.cat(levels, 1), state["feat.weight"], padding=1)
    norm = [state[f"feat_bn.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
    features = functional.relu(functional.batch_norm(fused, *norm))
    maps = []
    for head in ("hm", "params"):
        hidden = functional.conv2d(features, state[f"{head}.0.weight"], state[f"{head}.0.bias"], padding=1)
        maps.append(functional.conv2d(hidden.relu(), state[f"{head}.2.weight"], state[f"{head}.2.bias"]))
    return maps[0], maps[1]


def official_vertices(channels: torch.Tensor, index: int, shape_dm: torch.Tensor) -> torch.Tensor:
    """Camera-space vertices (decimeters, y up) of one cell, by the official formulas, in plain arithmetic."""
    x, y, z = channels[224:227].tolist()
    rx = torch.tensor([[1, 0, 0], [0, math.cos(x), -math.sin(x)], [0, math.sin(x), math.cos(x)]])
    ry = torch.tensor([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    rz = torch.tensor([[math.cos(z), -math.sin(z), 0], [math.sin(z), math.cos(z), 0], [0, 0, 1]])
    a, b, c = channels[254:257].tolist()
    center_x, center_y = (index % (WIDTH // 8) + 0.5) * 8, (index // (WIDTH // 8) + 0.5) * 8
    turned = shape_dm @ (rz @ ry @ rx).T
    turned[:, 2] *= -1
    return turned + torch.tensor(
        [
            (c + 10) * (a + center_x - WIDTH / 2) / FOCAL,
            (c + 10) * (b + HEIGHT / 2 - center_y) / FOCAL,
            c + 10,
        ]
    )


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return official_state()


def test_vertices_equal_the_official_formulas(state: dict[str, torch.Tensor], tmp_path: Path):
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "final.pth")
    detector = load_official(tmp_path / "final.pth")
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(1, 3, HEIGHT, WIDTH, generator=generator)
    mean_dm, basis_dm = torch.randn(20, 3, generator=generator), torch.randn(144, 20, 3, generator=generator)
    with torch.no_grad():
        heatmap, parameters = official_forward(state, image)
        detections = detector.detect(image, top_k=3, min_score=0.0)
    scores = heatmap.sigmoid()[0, 0].flatten()
    compared = 0
    for entry in range(3):
        if not detections.valid[0, entry]:
            continue
        x, y = ((detections.center_px[0, entry] - 4) / 8).long().tolist()
        index = y * (WIDTH // 8) + x
        torch.testing.assert_close(detections.score[0, entry], scores[index])
        channels = parameters[0].flatten(1)[:, index]
        shape_dm = mean_dm + torch.einsum("k,kvc->vc", channels[:144], basis_dm)
        expected_m = official_vertices(channels, index, shape_dm) * 0.1 * torch.tensor([1.0, -1.0, 1.0])
        ours = detections.parameters[0, entry]
        coefficients = torch.cat([ours.identity, ours.expression])
        shape_m = 0.1 * (mean_dm + torch.einsum("k,kvc->vc", coefficients, basis_dm))
        turned = shape_m @ ours.rotation_head.T * torch.tensor([1.0, -1.0, -1.0])
        torch.testing.assert_close(turned + ours.translation_m, expected_m, atol=1e-5, rtol=0)
        torch.testing.assert_close(ours.albedo, channels[144:224], atol=1e-5, rtol=1e-5)
        light = channels[227:254].view(3, 9).T
        torch.testing.assert_close(ours.illumination, light, atol=1e-5, rtol=1e-5)
        compared += 1
    assert compared > 0


def test_refusals(state: dict[str, torch.Tensor], tmp_path: Path):
    torch.save({"state_dict": {k: v for k, v in state.items() if k != "p4.bias"}}, tmp_path / "short.pth")
    with pytest.raises(ValueError, match=r"1 missing .* \(first: aggregation\.lateral4\.bias\)"):
        load_official(tmp_path / "short.pth")
    torch.save({"state_dict": {**state, "dcn.weight": torch.zeros(1)}}, tmp_path / "long.pth")
    with pytest.raises(ValueError, match=r"1 unknown entries \(first: dcn\.weight\)"):
        load_official(tmp_path / "long.pth")
    content = (tmp_path / "short.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="must be a complete file of tensors"):
        load_official(tmp_path / "cut.pth")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_official(tmp_path / "nothing.pth")


def test_official_shape_has_the_papers_size():
    """40.3 million parameters (design); counted from the shapes of the released code."""
    from morphable_detector_head import build_detector

    with torch.device("meta"):
        detector = build_detector(WM3DR_OFFICIAL)
    assert round(sum(p.numel() for p in detector.parameters()) / 1e6, 1) == 40.3
