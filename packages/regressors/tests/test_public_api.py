"""The public names and the README's code."""

import runpy
from pathlib import Path

import morphable_regressors

PACKAGE = Path(__file__).parents[1]


def test_public_names():
    assert sorted(morphable_regressors.__all__) == [
        "AttentionGate",
        "BACKBONES",
        "Counts",
        "CropRule",
        "DFMVR",
        "DFMVRConfig",
        "FaceCodec",
        "FaceParser",
        "Involution2d",
        "MobileFRNet",
        "MobileFRNetConfig",
        "MulEnUNet",
        "MultiViewConfig",
        "MultiViewParameters",
        "MultiViewRegressor",
        "NETWORKS",
        "OrthographicFaces",
        "PARSER_BACKBONES",
        "PARSING_CLASSES",
        "PRNet",
        "ParameterConfig",
        "ParameterRegressor",
        "ParserConfig",
        "PositionMapConfig",
        "PositionMapRegressor",
        "RedNet50",
        "SpatialGroupEnhance",
        "SqueezeExcitation",
        "SystemSpec",
        "boxes_of_landmarks",
        "build_backbone",
        "build_system",
        "count_operations",
        "crop_matrices",
        "cut_crops",
        "load_system",
        "map_of_points",
        "parsing_channel",
        "points_of_map",
        "repeat_views",
        "similarity_pose",
        "view_poses",
    ]


def test_quickstart_is_the_readme_and_prints_what_it_says(capsys):
    source = (PACKAGE / "examples/quickstart.py").read_text()
    readme = (PACKAGE / "README.md").read_text()
    assert source.split('"""', 2)[2].strip() in readme
    runpy.run_path(str(PACKAGE / "examples/quickstart.py"))
    assert capsys.readouterr().out.strip() in readme
