import sys
from pathlib import Path

import pytest
import torch
from torch.autograd import gradcheck

from morphable_losses import perception_loss
from morphable_losses.perception import facenet_embedder


def corners(crops: torch.Tensor) -> torch.Tensor:
    """An embedder of two numbers: the red of the first pixel and twice the green of the last."""
    return torch.stack([crops[:, 0, 0, 0], 2 * crops[:, 1, -1, -1]], dim=-1)


def test_value():
    # first pixel red differs by 0.3, last green by 0.2: 0.09 + 0.4^2; the second face is equal: mean of two
    rendered, photograph = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    rendered[0, 0, 0, 0], rendered[0, 1, -1, -1] = 0.3, 0.2
    torch.testing.assert_close(perception_loss(rendered, photograph, corners), torch.tensor(0.125))


def test_padding_and_nothing():
    rendered = torch.full((2, 3, 4, 4), float("nan"), requires_grad=True)
    loss = perception_loss(rendered, torch.zeros(2, 3, 4, 4), corners, present=torch.tensor([False, False]))
    assert loss.item() == 0
    assert (torch.autograd.grad(loss, rendered)[0] == 0).all()
    nothing = torch.zeros(0, 3, 4, 4, requires_grad=True)
    loss = perception_loss(nothing, torch.zeros(0, 3, 4, 4), corners)
    assert loss.item() == 0
    loss.backward()


def test_gradient_only_into_the_render():
    generator = torch.Generator().manual_seed(0)
    rendered, photograph = (torch.rand(1, 3, 2, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    assert gradcheck(lambda x: perception_loss(x, photograph, corners), rendered.requires_grad_())
    photograph.requires_grad_()
    perception_loss(rendered, photograph, corners).backward()
    assert photograph.grad is None


def test_two_copies_equal_one():
    generator = torch.Generator().manual_seed(0)
    rendered, photograph = (torch.rand(1, 3, 2, 2, generator=generator) for _ in range(2))
    torch.testing.assert_close(
        perception_loss(rendered.repeat(2, 1, 1, 1), photograph.repeat(2, 1, 1, 1), corners),
        perception_loss(rendered, photograph, corners),
    )


def test_facenet_from_a_local_file(tmp_path: Path):
    facenet = pytest.importorskip("facenet_pytorch")
    torch.manual_seed(0)
    network = facenet.InceptionResnetV1(pretrained=None)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    embedder = facenet_embedder(tmp_path / "weights.pt")
    crop = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(embedder(crop), network.eval()(crop * 2 - 1))
    assert not embedder.train().network.training
    assert not any(parameter.requires_grad for parameter in embedder.parameters())
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="must be InceptionResnetV1's"):
        facenet_embedder(tmp_path / "other.pt")


@pytest.mark.slow
def test_facenet_takes_its_own_file_where_it_keeps_its_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """facenet-pytorch's own way to its weights, with a file of their form: random ones, for its own are not shipped."""
    facenet = pytest.importorskip("facenet_pytorch")
    torch.manual_seed(0)
    network = facenet.InceptionResnetV1(pretrained=None, classify=True, num_classes=8631)  # VGGFace2's identities
    (tmp_path / "checkpoints").mkdir()
    torch.save(network.state_dict(), tmp_path / "checkpoints" / "20180402-114759-vggface2.pt")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network.classify = False
    from_cache, from_file = (
        facenet_embedder(),
        facenet_embedder(tmp_path / "checkpoints" / "20180402-114759-vggface2.pt"),
    )
    crops = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    sized = torch.nn.functional.interpolate(crops, (160, 160), mode="bilinear", align_corners=False)
    with torch.no_grad():
        expected = network.eval()(sized * 2 - 1)
    torch.testing.assert_close(from_cache(crops).detach(), expected)
    torch.testing.assert_close(from_file(crops).detach(), expected)
    rendered = crops.clone().requires_grad_()
    perception_loss(rendered, crops.flip(0), from_cache).backward()
    assert float(rendered.grad.abs().sum()) > 0


def test_facenet_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "facenet_pytorch", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"run `pip install 'facenet-pytorch.*morphable-losses\[perception\]'\)"
    ):
        facenet_embedder()


def test_failed_download(monkeypatch: pytest.MonkeyPatch):
    facenet = pytest.importorskip("facenet_pytorch")

    def refuse(**_: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(facenet, "InceptionResnetV1", refuse)
    with pytest.raises(OSError, match=r"could not be fetched \(no route\); pass weights=FILE"):
        facenet_embedder()
