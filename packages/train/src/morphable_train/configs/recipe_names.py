"""Names of recipes, of their presets and of their ablations: what needs no network."""

from typing import Any

RECIPES = ("mobile_frnet", "prnet", "dfmvr", "parsing")
"""Per-face networks that can be trained."""
PRESETS = ("smoke", "small", "full")
"""`smoke`: minutes on two cores, from nothing; `small`: hours of one core; `full`: the papers' sizes."""
ABLATIONS: dict[str, dict[str, dict[str, Any]]] = {
    "mobile_frnet": {
        name: {"backbone": name}
        for name in ("mobile_frnet", "mobile_frnet_plain", "mobilenet_v2", "densenet121", "resnext50")
    },
    "prnet": {
        # Points, features, face, rest. The paper's mask; all texels alike; the face alone; no points; no features.
        "16_4_3_0": {},
        "1_1_1_1": {"landmark_weight": 1.0, "feature_weight": 1.0, "face_weight": 1.0, "elsewhere_weight": 1.0},
        "1_1_1_0": {"landmark_weight": 1.0, "feature_weight": 1.0, "face_weight": 1.0},
        "4_4_3_0": {"landmark_weight": 4.0},
        "16_3_3_0": {"feature_weight": 3.0},
    },
    "dfmvr": {
        "v1": {"fusion": "cnn"},
        "v2": {"fusion": "unet"},
        "v3": {"involution": False},
        "v4": {"parsing_channel": False, "weights": {"mask": 0.0}},
        "v5": {"weights": {"landmark_3d": 0.0}},
        "v6": {},
    },
    "parsing": {},
}
"""Changes of a preset's fields, by the names of the papers' tables; a mapping changes fields of that field."""
