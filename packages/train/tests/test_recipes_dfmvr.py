"""DF-MVR's recipe: its views, its measures, and the gradient through the frozen parser."""

from dataclasses import replace

import torch
from tiny_recipes import SIDE, tiny_recipe
from torch import nn

from morphable_regressors import CropRule
from morphable_regressors.dfmvr import MultiViewParameters
from morphable_regressors.parsing import PARSING_CLASSES
from morphable_regressors.poses import view_poses
from morphable_train.configs.recipes import RecipeData
from morphable_train.data.streams import Shard
from morphable_train.recipes.base.batches import finish_crops
from morphable_train.recipes.base.crops import open_part_crops
from morphable_train.recipes.base.measures import dense_nme
from morphable_train.recipes.base.targets import true_shape
from morphable_train.recipes.dfmvr.recipe import DfmvrRecipe
from morphable_train.recipes.dfmvr.rendered import rendered_terms
from morphable_train.recipes.dfmvr.views import group_views

RULE = CropRule(side_px=SIDE)
DATA = RecipeData(min_face_px=16.0)


def test_the_mask_term_reaches_the_shape_through_the_frozen_parser(triples, model, model_file, tmp_path):
    crops = open_part_crops((triples,), tmp_path, RULE, DATA, model)
    config = tiny_recipe("dfmvr", model_file, triples)
    recipe = DfmvrRecipe(config, model, crops, crops, Shard())
    batch = recipe._held_batch(group_views(crops)[:1])
    parser = nn.Conv2d(3, len(PARSING_CLASSES), 1).requires_grad_(False)
    identity = torch.zeros(1, model.num_identity, requires_grad=True)
    zeros = torch.zeros
    found = MultiViewParameters(
        identity, zeros(1, model.num_expression), zeros(1, model.num_albedo), zeros(1, 9, 3),
        zeros(1, 3, 3), zeros(1, 3, 2), zeros(1, 3),
    )  # fmt: skip
    terms = rendered_terms(found, *view_poses(found, RULE), batch, model, weights=recipe.config.weights, parser=parser)
    (gradient,) = torch.autograd.grad(terms["mask"], identity)
    assert float(gradient.abs().max()) > 1e-6
    bare = rendered_terms(found, *view_poses(found, RULE), batch, model, weights=recipe.config.weights, parser=None)
    assert set(terms) - set(bare) == {"mask"}


def test_dfmvr_measures_zero_for_the_truth_and_the_mean_of_the_training_faces(triples, model, model_file, tmp_path):
    crops = open_part_crops((triples,), tmp_path, RULE, DATA, model)
    recipe = DfmvrRecipe(tiny_recipe("dfmvr", model_file, triples), model, crops, crops, Shard())
    people = group_views(crops)[:2]
    batch = recipe._held_batch(people)
    shape = true_shape(batch.faces, recipe.surface)[::3]
    faces = replace(batch.faces, image_index=torch.arange(len(batch)))
    true = recipe._points(shape, faces)
    assert float(dense_nme(true, true, faces).max()) == 0.0
    torch.testing.assert_close(true[:, :68, :2], faces.landmarks68_px, atol=0.1, rtol=0)
    errors = recipe._errors(recipe.network.eval(), people)
    mean = dense_nme(recipe._mean().repeat(2, 1, 1), true, faces).unflatten(0, (2, 3)).mean(1)
    torch.testing.assert_close(errors["mean_view_dense_3d_nme"], mean)
    assert (errors["mean_face_dense_3d_nme"] > mean).all()
    assert (errors["dense_3d_nme"] > mean).all()  # untrained: the mean shape, looking straight ahead in every view


def test_views_are_grouped_and_mirrored_people_change_sides(triples, model, surface, tmp_path, model_file):
    from morphable_train.recipes.dfmvr.views import ViewStream

    crops = open_part_crops((triples,), tmp_path, RULE, DATA, model)
    people = group_views(crops)
    assert people.shape == (4, 3)
    assert [crops.keys[k].rpartition("_")[2] for k in people[0].tolist()] == ["left", "front", "right"]
    config = tiny_recipe("dfmvr", model_file, triples)
    stream = ViewStream(crops, config, Shard())
    for step in range(6):
        loaded = stream.load(step)
        faces = finish_crops(loaded.crops, RULE, model, surface).faces
        nose_x = faces.rotation_head[:, 0, 2].unflatten(0, (-1, 3))
        # seen from the person's left the nose points to the picture's left, mirrored or not
        assert bool((nose_x[:, 0] < 0).all())
        assert bool((nose_x[:, 2] > 0).all())
