"""Write docs/scene.schema.json, the JSON Schema of a scene in JSON, from the types of the service's answers."""

import json
from pathlib import Path
from typing import Any

from morphable_reconstruct.service.answers import SceneAnswer

TARGET = Path(__file__).with_name("scene.schema.json")


def scene_schema() -> dict[str, Any]:
    """Return the schema."""
    schema = SceneAnswer.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


if __name__ == "__main__":
    TARGET.write_text(json.dumps(scene_schema(), indent=2) + "\n")
