"""A scene as a notebook shows it."""

import base64
from html import escape
from typing import TYPE_CHECKING

from morphable_reconstruct.exports.pictures import overlay_jpeg

if TYPE_CHECKING:
    from morphable_reconstruct.scene import Scene

PICTURE_SIDE_PX = 640
"""Long side of the picture."""
LISTED_FACES = 20
"""Faces of a crowd beyond these are counted."""


def scene_html(scene: "Scene") -> str:
    """Return the overlay and a table of the faces, without anything that is loaded from elsewhere."""
    picture = base64.b64encode(overlay_jpeg(scene.overlay(max_side_px=PICTURE_SIDE_PX))).decode()
    rows = []
    for face in list(scene)[:LISTED_FACES]:
        angles = "".join(f"<td>{angle:+.0f}°</td>" for angle in face.angles.degrees.values())
        rows.append(
            f"<tr><td>{face.index}</td><td>{face.score:.2f}</td>{angles}<td>{face.translation_m[2]:.2f} m</td></tr>"
        )
    if len(scene) > LISTED_FACES:
        rows.append(f"<tr><td colspan=6>and {len(scene) - LISTED_FACES} more</td></tr>")
    names = "".join(f"<th>{name}</th>" for name in ("face", "score", "pitch", "yaw", "roll", "depth"))
    table = f"<table><tr>{names}</tr>{''.join(rows)}</table>" if rows else "<p>No face was found.</p>"
    text = escape(repr(scene))
    return f'<p><code>{text}</code></p><img alt="{text}" src="data:image/jpeg;base64,{picture}">{table}'
