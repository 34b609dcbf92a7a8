"""The published schema is that of the code, and a scene in JSON follows it."""

import json
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_schema_is_that_of_the_answers_types():
    made = runpy.run_path(str(ROOT / "docs" / "write_scene_schema.py"))["scene_schema"]()
    committed = json.loads((ROOT / "docs" / "scene.schema.json").read_text())
    assert committed == made, "run `python docs/write_scene_schema.py`"
    assert {"AnglesAnswer", "CameraAnswer", "FaceAnswer"} <= set(committed["$defs"])
