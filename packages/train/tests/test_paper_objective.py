"""The preset `paper_resnet50` trains WM3DR's objective as printed."""

from dataclasses import replace

import pytest
import torch
from test_objective import LAYOUT, SIZE, cells_of, perfect_channels
from tiny_run import tiny_config, write_shards

from morphable.geometry import GLOBAL_FOCAL_PX, Pinhole, camera_from_model
from morphable_losses.landmarks import landmark_weights
from morphable_losses.wm3dr import Wm3drWeights
from morphable_render import render_faces
from morphable_train.configs.stage_presets import preset
from morphable_train.configs.stages import LossConfig
from morphable_train.objective.cells import Counts, count_cells
from morphable_train.objective.paper import PaperObjective
from morphable_train.stages.parts import build_parts
from morphable_train.stages.training import train


class Brightness(torch.nn.Module):
    """Stands for the face-recognition network: the mean color of a crop."""

    def forward(self, crops):
        return crops.mean((2, 3))


def objective(model, surface, weights=Wm3drWeights()):  # noqa: B008  (frozen)
    return PaperObjective(model, surface, LAYOUT, LossConfig(objective="paper", paper=weights), Brightness())


def moved(truth, **changes):
    """The true parameters with some of them changed."""
    return truth | changes


def test_the_preset_is_the_papers():
    first, second = preset("paper_resnet50", 1), preset("paper_resnet50", 2)
    for config in (first, second):
        paper = config.loss.paper
        assert config.loss.objective == "paper"
        assert (paper.pixel, paper.perception, paper.landmark) == (100.0, 0.01, 0.1)
        assert (paper.norm, paper.variance) == (1e-4, 1e-3)
        assert config.loss.heatmap == "binary"
        assert config.loss.compares_perception
        assert config.loss.neighbors == 0
        rates = config.optimizer
        assert (rates.learning_rate, rates.weight_decay, rates.schedule) == (1e-4, 0.0, "step")
    assert (first.loss.trains_center, second.loss.paper.center) == (False, 1.0)
    assert (first.backbone_weights, second.backbone_weights) == ("imagenet", None)
    assert [(c.run.input_px, c.run.batch_size, c.run.steps) for c in (first, second)] == [
        (224, 128, 200_000),
        (512, 32, 100_000),
    ]
    assert [c.run.steps * c.optimizer.step_at for c in (first, second)] == [150_000, 50_000]


def test_each_term_is_its_equation_times_its_weight(model, surface, two_faces):
    truth, batch = two_faces
    cells = cells_of(batch)
    wrong = moved(
        truth,
        identity=truth["identity"] + 0.5,
        illumination=truth["illumination"] + 0.2,
        translation=truth["translation_m"] * torch.tensor([1.0, 1.0, 1.02]),
    )
    logits = torch.full((1, *cells.heatmap.shape[1:]), -2.0)
    terms = objective(model, surface)(
        (perfect_channels(wrong, cells),), logits, batch, cells, count_cells(cells, batch.skin), True
    )
    # (12): mean over the two faces of the weighted mean over 68 points of squared pixels
    shape = model.decode_shape(wrong["identity"], wrong["expression"])
    points_cam = camera_from_model(shape, wrong["rotation_head"], wrong["translation_m"])
    points = Pinhole((SIZE, SIZE)).project(model.landmarks(points_cam))
    squared = (points - batch.faces.landmarks68_px).square().sum(-1)
    landmark = (squared * landmark_weights()).mean(1).mean()
    torch.testing.assert_close(terms["landmark"], 0.1 * landmark, rtol=1e-3, atol=0)
    # (13)
    norm = sum(
        weight * wrong[name].square().sum(1).mean()
        for name, weight in (("identity", 1.0), ("expression", 0.8), ("albedo", 0.0017))
    )
    torch.testing.assert_close(terms["norm"], 1e-4 * norm, rtol=1e-4, atol=0)
    # (14): colors in 0 to 255
    colors = model.decode_albedo(wrong["albedo"]) * 255
    variance = colors.var(1, unbiased=False).sum(-1).mean()
    torch.testing.assert_close(terms["variance"], 1e-3 * variance, rtol=1e-4, atol=0)
    # (9): both faces drawn into one picture
    drawn = render_faces(
        points_cam,
        model.triangles,
        model.decode_albedo(wrong["albedo"]),
        illumination=wrong["illumination"],
        focal_px=GLOBAL_FOCAL_PX,
        background=batch.image[0].permute(1, 2, 0).contiguous(),
    )
    difference = (drawn.rgb - batch.image[0].permute(1, 2, 0)).norm(dim=-1)
    mask = drawn.mask & (batch.skin[0, 0] >= 0.5)
    torch.testing.assert_close(terms["pixel"], 100 * difference[mask].mean(), rtol=1e-3, atol=0)
    # (7): every cell says -2 before the sigmoid; two of them are centers
    p = torch.tensor(-2.0).sigmoid()
    background = cells.heatmap.numel() - 2
    center = -(2 * (1 - p) ** 2 * p.log() + background * p**2 * (1 - p).log()) / 2
    torch.testing.assert_close(terms["center"], center, rtol=1e-4, atol=0)
    assert float(terms["perception"]) > 0


def test_the_truth_is_the_least_and_terms_reach_what_they_compare(model, surface, two_faces):
    truth, batch = two_faces
    cells = cells_of(batch)
    counts = count_cells(cells, batch.skin)
    measure = objective(model, surface)
    right = measure((perfect_channels(truth, cells),), None, batch, cells, counts, True)
    assert float(right["landmark"]) < 1e-5
    channels = (perfect_channels(truth, cells) * 1.05).requires_grad_()
    values = measure((channels,), None, batch, cells, counts, True)
    assert float(values["landmark"].detach()) > float(right["landmark"])
    assert float(values["pixel"].detach()) > float(right["pixel"])
    for name in ("landmark", "pixel", "perception", "norm", "variance"):
        (gradient,) = torch.autograd.grad(values[name], channels, retain_graph=True)
        assert bool(torch.isfinite(gradient).all())
        assert float(gradient.abs().sum()) > 0, name
        beside = cells.valid & ~cells.is_center
        assert float(gradient[beside].abs().sum()) == 0  # the paper supervises centers alone


def test_sums_are_divided_by_the_counts_of_the_whole_step(model, surface, two_faces):
    truth, batch = two_faces
    cells = cells_of(batch)
    channels = (perfect_channels(moved(truth, identity=truth["identity"] + 1), cells),)
    measure, counts = objective(model, surface), count_cells(cells, batch.skin)
    assert counts.stacked().tolist()[1:] == [2.0, 1.0]
    half = Counts(counts.cells * 2, counts.centers * 2, counts.pictures * 2)
    logits = torch.zeros(1, *cells.heatmap.shape[1:])
    whole, part = (measure(channels, logits, batch, cells, c, True) for c in (counts, half))
    for name in whole:
        torch.testing.assert_close(part[name] * 2, whole[name])


def test_a_picture_without_faces_has_no_loss_but_the_center(model, surface, two_faces):
    _, batch = two_faces
    nobody = batch.faces.select(torch.zeros(0, dtype=torch.long))
    empty = replace(batch, faces=nobody, skin=torch.zeros_like(batch.skin))
    cells = cells_of(empty)
    channels = torch.zeros(1, cells.cell.shape[1], LAYOUT.num_channels, requires_grad=True)
    logits = torch.zeros(1, *cells.heatmap.shape[1:])
    values = objective(model, surface)((channels,), logits, empty, cells, count_cells(cells, empty.skin), True)
    assert all(float(value.detach()) == 0 for name, value in values.items() if name != "center")


def test_the_papers_objective_is_trained(model_file, tmp_path, monkeypatch):
    """Both stages; without perception, whose network is not at hand here."""
    shards = write_shards(tmp_path / "shards", 6, weak=True)
    for stage in (1, 2):
        config = tiny_config(model_file, (), stage=stage, steps=2)
        loss = LossConfig(objective="paper", paper=Wm3drWeights(center=float(stage == 2), perception=0.0))
        config = replace(config, loss=loss, data=replace(config.data, weak=(shards,), weak_fraction=0.0))
        if stage == 1:
            config = replace(config, data=replace(config.data, weak_fraction=1.0))
        assert isinstance(build_parts(config).objective, PaperObjective)
        train(config, tmp_path / f"run{stage}")
        head = (tmp_path / f"run{stage}" / "losses.csv").read_text().splitlines()[0].split(",")
        assert {"landmark", "norm", "pixel", "variance"} <= set(head)
        assert ("center" in head) == (stage == 2)


def test_the_perception_network_comes_from_a_file(model_file, tmp_path):
    """facenet-pytorch's network from a local file of its own weights; here they are random."""
    facenet = pytest.importorskip("facenet_pytorch")
    torch.save(facenet.InceptionResnetV1(pretrained=None).state_dict(), tmp_path / "facenet.pt")
    config = tiny_config(model_file, ())
    config = replace(config, loss=LossConfig(objective="paper", perception_weights=tmp_path / "facenet.pt"))
    embedder = build_parts(config).objective.embedder
    assert embedder(torch.rand(1, 3, 40, 40)).shape == (1, 512)
