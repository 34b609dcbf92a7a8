"""A person's track through a video as one animated GLB file: morph weights and head motion over time."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from morphable.files import write_bytes
from morphable_reconstruct.drawing.layers import render_depth
from morphable_reconstruct.exports.glb import GltfFaces, add_camera, morph_weights, quaternion_xyzw
from morphable_reconstruct.exports.gltf import GltfBuilder
from morphable_reconstruct.exports.textures import face_texture
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.faces.rows import Face, SceneRows
from morphable_reconstruct.photographs.reading import Photograph
from morphable_reconstruct.video.tracks import TrackedFrame

TRACK_SUFFIX = ".track_{:02d}"
"""What the name of a file about one person has before its ending."""
LEAST_FRAMES = 2
"""Tracks seen in fewer frames are no animations."""
_MARGIN = 1.0
"""Share of the face's box, kept around it on every side in the picture that gives the texture."""
_CLEARLY_BETTER = 1.1
"""Another frame gives the texture if it shows this times as much of the face."""


@dataclass(eq=False)
class _Track:
    """What is kept of one person."""

    camera: Camera
    time_s: list[float] = field(default_factory=list)
    weights: list[Float[np.ndarray, " expr"]] = field(default_factory=list)
    rotation_xyzw: list[Float[np.ndarray, "4"]] = field(default_factory=list)
    translation: list[Float[np.ndarray, "3"]] = field(default_factory=list)
    identity_sum: Float[np.ndarray, " id"] | float = 0.0
    shown_px: float = -1.0
    best: SceneRows | None = None
    """The frame that shows the face best, cut to the face."""


class TrackAnimations:
    """Collects the tracks of a video frame by frame; memory grows by half a kilobyte per frame and face."""

    def __init__(self) -> None:
        self._tracks: dict[int, _Track] = {}

    def add(self, frame: TrackedFrame) -> None:
        """Take the faces of the next frame.

        Raises:
            ValueError: The frame's faces have no track ids.
        """
        for face in frame.scene:
            if face.track_id is None:
                raise ValueError(f"faces must be tracked to be animated, got {frame.scene.name} without track_id")
            track = self._tracks.setdefault(face.track_id, _Track(camera=face.camera))
            turn = np.array(quaternion_xyzw(face.rotation_head), np.float32)
            if track.rotation_xyzw and float(turn @ track.rotation_xyzw[-1]) < 0.0:
                turn = -turn  # the same turn, on the short way from the one before
            track.time_s.append(frame.time_s)
            track.weights.append(np.array(morph_weights(face), np.float32))
            track.rotation_xyzw.append(turn)
            track.translation.append((face.translation_m * (1.0, -1.0, -1.0)).astype(np.float32))
            track.identity_sum = track.identity_sum + face.identity.astype(np.float64)
            shown = _shown_px(face)
            if shown > _CLEARLY_BETTER * track.shown_px:
                track.shown_px, track.best = shown, _cut_out(face)

    def glbs(
        self, *, texture: str = "photo", texture_px: int | None = None, mesh: str = "head"
    ) -> Iterator[tuple[int, bytes]]:
        """Encode the tracks one after the other; options as those of `scene_to_glb`.

        Yields:
            Number of the track and its file.
        """
        for track_id, track in sorted(self._tracks.items()):
            if len(track.time_s) >= LEAST_FRAMES:
                yield track_id, _encode(track, f"track_{track_id:02d}", texture, texture_px, mesh)


def write_animations(
    frames: Iterable[TrackedFrame],
    path: str | os.PathLike[str],
    *,
    texture: str = "photo",
    texture_px: int | None = None,
    mesh: str = "head",
) -> tuple[Path, ...]:
    """Write an animated GLB file for every person of a video who is seen in at least two frames.

    The mesh is the neutral shape of the track's mean identity, its morph targets are the model's expressions by name,
    and the animation holds the weights and the pose of the head at the times of the frames, from the video's start.
    The texture is that of the frame that shows most of the face.

    Args:
        frames: Those of `track`.
        path: Name of the files: `clip.glb` gives `clip.track_00.glb`, `clip.track_01.glb`, ...
        texture: As that of `Scene.save`.
        texture_px: As that of `Scene.save`.
        mesh: As that of `Scene.save`.

    >>> import tempfile, morphable_reconstruct as mr
    >>> from PIL import Image
    >>> reconstructor = mr.Reconstructor("mobile", config=mr.ReconstructConfig(size_px=256))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    ...     frames[0].save(f"{folder}/clip.gif", save_all=True, append_images=frames[1:], duration=40)
    ...     write_animations(mr.track(f"{folder}/clip.gif", reconstructor), f"{folder}/clip.glb")  # shows nobody
    ()
    """
    tracks, base = TrackAnimations(), Path(path)
    for frame in frames:
        tracks.add(frame)
    written = []
    for track_id, data in tracks.glbs(texture=texture, texture_px=texture_px, mesh=mesh):
        written.append(base.with_name(f"{base.stem}{TRACK_SUFFIX.format(track_id)}.glb"))
        write_bytes(written[-1], data)
    return tuple(written)


def _shown_px(face: Face) -> float:
    """How many pixels show the face's front: the part of its box inside the picture, foreshortened by its turn."""
    height, width = face.camera.size_hw
    box = face.box_xyxy_px.reshape(2, 2).clip((0, 0), (width, height))
    return float((box[1] - box[0]).prod()) * max(float(face.rotation_head[2, 2]), 0.0)


def _cut_out(face: Face) -> SceneRows:
    """The face's row with the part of the photograph around it, which is all that its texture needs."""
    height, width = face.camera.size_hw
    corners = face.box_xyxy_px.reshape(2, 2).astype(np.float64)
    margin = _MARGIN * (corners[1] - corners[0]).max()
    left, top = np.floor((corners[0] - margin).clip((0, 0), (width - 1, height - 1))).astype(int).tolist()
    right, bottom = np.ceil((corners[1] + margin).clip((left + 1, top + 1), (width, height))).astype(int).tolist()
    pixels = face.scene.photo.pixels[top:bottom, left:right].copy()
    x, y = face.camera.principal_px.tolist()
    camera = Camera(focal_px=face.camera.focal_px, size_hw=pixels.shape[:2], center_px=(x - left, y - top))
    photo = Photograph(pixels=pixels, name=face.scene.name)
    return replace(face.scene.take(np.array([face.index])), photo=photo, camera=camera)


def _encode(track: _Track, name: str, texture: str, texture_px: int | None, mesh: str) -> bytes:
    """One track as binary glTF."""
    assert track.best is not None
    depth_m = render_depth(track.best) if texture in ("photo", "delit") else None
    pixels = face_texture(track.best[0], kind=texture, size_px=texture_px, depth_m=depth_m)
    mean = torch.from_numpy(np.asarray(track.identity_sum / len(track.time_s), np.float32))[None]
    person = replace(track.best, faces=replace(track.best.faces, identity=mean))
    builder = GltfBuilder()
    children = [add_camera(builder, track.camera)]
    node = GltfFaces(builder, person.model, mesh=mesh, texture=texture).add_face(person[0], name, pixels)
    children.append(node)
    builder.document["nodes"][node] |= {
        "rotation": track.rotation_xyzw[0].tolist(),
        "translation": track.translation[0].tolist(),
    }
    curves = {"rotation": np.stack(track.rotation_xyzw), "translation": np.stack(track.translation)}
    if person.model.num_expression:
        curves["weights"] = np.concatenate(track.weights)
    builder.add_animation(name, node, np.array(track.time_s, np.float32), curves)
    return builder.finish(name, children)
