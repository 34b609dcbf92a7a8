"""One visitor of the page: the uploaded photograph, its 3D scene, the controls."""

import io
import math
import tempfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from morphable_reconstruct.exports.coefficients import scene_to_json
from morphable_reconstruct.exports.glb import scene_to_glb
from morphable_reconstruct.exports.meshes import write_obj
from morphable_reconstruct.photographs.reading import ImageSource
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.scene import Scene
from morphable_reconstruct.viewer.meshes import SURFACES, Surface, face_glb, surface_texture, thumbnail
from morphable_reconstruct.viewer.sliders import GROUPS, REST, ExpressionSlider, expression_sliders

IDENTITY_SLIDERS = 12
_IDENTITY_RANGE = 3.0
_FRUSTUM_SCALE = 0.2
_CHOSEN_FACE, _PHOTO_CAMERA = "face", "photo camera"
_VIEWS = {
    _CHOSEN_FACE: None,
    _PHOTO_CAMERA: None,
    "front": (0.0, 0.0, -1.0),
    "right": (1.0, 0.0, 0.0),
    "top": (0.0, -1.0, -0.001),
}
"""Where the camera of each view of all faces stands, seen from their middle; camera space is the page's world."""
_FOV_RAD = math.radians(30.0)
_FILLED = 0.9
"""Share of the page's height that the chosen face, or all faces, fill."""
_BEHIND_M = 0.3
"""The plane of the photograph stands this far behind the farthest face."""
_LABEL_ABOVE_M = 0.02


class Session:
    """Controls and 3D scene of one browser window."""

    def __init__(self, client: Any, reconstructor: Reconstructor) -> None:
        self._client, self._reconstructor = client, reconstructor
        self._lock = threading.RLock()
        self._scene: Scene | None = None
        self._found: Scene | None = None
        self._selected = 0
        self._nodes: list[Any] = []
        self._aids: list[Any] = []
        self._sliders: list[Any] = []
        self._textures: dict[tuple[int, str], np.ndarray | None] = {}
        self._picture: Any = None
        client.scene.set_up_direction("-y")
        self._build_controls()

    def open(self, image: ImageSource, name: str) -> None:
        """Reconstruct and show a photograph; a picture that cannot be read becomes a notice."""
        gui = self._client.gui
        self._status.content = f"reconstructing {name} ..."
        try:
            scene = self._reconstructor.reconstruct([self._reconstructor.load(image, name=name)])[0]
        except (OSError, ValueError) as error:
            self._status.content = f"**{name}** cannot be shown: {error}"
            return
        with self._lock:
            self._scene = self._found = scene
            self._textures = {}
            count = len(scene)
            boxes = scene.box_xyxy_px
            self._selected = int((boxes[:, 2:] - boxes[:, :2]).prod(1).argmax()) if count else 0
            if self._picture is None:
                with self._photo_folder:
                    self._picture = gui.add_image(thumbnail(scene), label="boxes and landmarks")
            else:
                self._picture.image = thumbnail(scene)
            self._face_choice.options = [str(index) for index in range(count)] or ["-"]
            self._face_choice.value = str(self._selected) if count else "-"
            self._show_all()
            self._show_sliders()
            self.look(_CHOSEN_FACE if count else _PHOTO_CAMERA)
            self._status.content = f"**{name}**: {count or 'no'} {'face' if count == 1 else 'faces'} found"

    def look(self, view: str) -> None:
        """Move the page's camera to a named view."""
        scene = self._scene
        if scene is None:
            return
        camera = self._client.camera
        if view == _PHOTO_CAMERA or not len(scene):
            camera.up_direction = (0.0, -1.0, 0.0)
            camera.position = (0.0, 0.0, 0.0)
            camera.look_at = (0.0, 0.0, float(scene.vertices_cam_m[..., 2].mean()) if len(scene) else 1.0)
            camera.fov = scene.camera.vertical_fov_rad
            return
        if view == _CHOSEN_FACE:
            turn = scene[self._selected].cam_from_model[:3, :3].astype(float)
            vertices, place, up = scene[self._selected].vertices_cam_m, turn[:, 2], turn[:, 1]
        else:
            vertices, place = scene.vertices_cam_m.reshape(-1, 3).numpy(), np.array(_VIEWS[view])
            up = np.array([0.0, 0.0, 1.0] if view == "top" else [0.0, -1.0, 0.0])
        low, high = vertices.min(0), vertices.max(0)
        middle, radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
        distance = radius / (_FILLED * math.sin(_FOV_RAD / 2))
        if view == _CHOSEN_FACE:  # a head is taller than it is deep: its bounding sphere leaves too much room
            distance *= float(np.abs((vertices - middle) @ up).max()) / radius * 1.1
        camera.up_direction = tuple(up.tolist())
        camera.position = tuple((middle + place * distance).tolist())
        camera.look_at = tuple(middle.tolist())
        camera.fov = _FOV_RAD

    def _build_controls(self) -> None:
        """Lay out the panel."""
        gui = self._client.gui
        upload = gui.add_upload_button("Open a photograph", mime_type="image/*")
        self._status = gui.add_markdown("Open a photograph to see its faces in 3D.")
        with gui.add_folder("View"):
            views = gui.add_button_group("look from", list(_VIEWS))
            self._surface = gui.add_dropdown("surface", list(SURFACES))
            self._wireframe = gui.add_checkbox("wireframe", initial_value=False)
            self._frustum = gui.add_checkbox("show photo camera", initial_value=False)
            self._plane = gui.add_checkbox("show photograph", initial_value=False)
        with gui.add_folder("Face"):
            self._face_choice: Any = gui.add_dropdown("chosen face", ["-"])
            self._symmetric = gui.add_checkbox("both sides together", initial_value=True)
            reset = gui.add_button("Reset")
            self._folders = {name: gui.add_folder(name, expand_by_default=False) for name in (*GROUPS, REST)}
            self._folders["Identity"] = gui.add_folder("Identity", expand_by_default=False)
        with gui.add_folder("Download"):
            downloads = gui.add_button_group("file", ["GLB", "OBJ", "JSON"])
        self._photo_folder = gui.add_folder("Photograph")
        upload.on_upload(lambda event: self.open(io.BytesIO(event.target.value.content), event.target.value.name))
        views.on_click(lambda event: self.look(event.target.value))
        for control in (self._surface, self._wireframe):
            control.on_update(lambda _: self._show_all())
        for control in (self._frustum, self._plane):
            control.on_update(lambda _: self._show_aids())
        downloads.on_click(lambda event: self._download(event.target.value))
        self._face_choice.on_update(lambda event: self._select(event.target.value))
        self._symmetric.on_update(lambda _: self._show_sliders())
        reset.on_click(lambda _: self._reset())

    def _show_all(self) -> None:
        """Draw every face anew, and what helps to find one's way."""
        with self._lock:
            for node in self._nodes:
                node.remove()
            scene = self._scene
            self._nodes = [] if scene is None else [self._show_face(scene, index) for index in range(len(scene))]
            self._show_aids()

    def _show_aids(self) -> None:
        """Draw the mark of the chosen face, the photograph's camera and its plane, as the switches say."""
        with self._lock:
            for node in self._aids:
                node.remove()
            self._aids = []
            scene = self._scene
            if scene is None:
                return
            if len(scene) > 1:
                self._aids.append(self._mark(scene))
            if not (self._frustum.value or self._plane.value):
                return
            picture = scene.overlay(opacity=0.0, boxes=False, landmarks=False, max_side_px=1024)
            height, width = scene.camera.size_hw
            if self._frustum.value:
                self._aids.append(
                    self._client.scene.add_camera_frustum(
                        "/camera",
                        fov=scene.camera.vertical_fov_rad,
                        aspect=width / height,
                        scale=_FRUSTUM_SCALE,
                        thickness=0.002,
                        image=None if self._plane.value else picture,
                    )
                )
            if self._plane.value:
                farthest_m = float(scene.vertices_cam_m[..., 2].max()) if len(scene) else 1.0
                depth_m = farthest_m + _BEHIND_M
                size = depth_m / scene.camera.focal_px
                plane = self._client.scene.add_image(
                    "/photograph", picture, width * size, height * size, position=(0.0, 0.0, depth_m)
                )
                self._aids.append(plane)

    def _mark(self, scene: Scene) -> Any:
        """Name the chosen face above its head."""
        face = scene[self._selected]
        vertices, up = face.vertices_cam_m, face.cam_from_model[:3, 1]
        top = vertices.mean(0) + up * (float(((vertices - vertices.mean(0)) @ up).max()) + _LABEL_ABOVE_M)
        return self._client.scene.add_label(
            "/chosen", f"face {self._selected}", position=tuple(top.tolist()), anchor="bottom-center"
        )

    def _show_face(self, scene: Scene, index: int) -> Any:
        """Draw one face; a node of the same name is replaced."""
        face, name = scene[index], f"/face_{index:02d}"
        if self._wireframe.value:
            triangles = face.model.triangles.numpy()
            return self._client.scene.add_mesh_simple(name, face.vertices_cam_m, triangles, wireframe=True)
        surface: Surface = self._surface.value
        if (index, surface) not in self._textures and self._found is not None:
            self._textures[index, surface] = surface_texture(self._found, index, surface)
        content = face_glb(face, self._textures.get((index, surface)), unlit=surface == "photograph")
        return self._client.scene.add_glb(name, content, cast_shadow=False, receive_shadow=False)

    def _select(self, choice: str) -> None:
        """Show the sliders of another face."""
        with self._lock:
            self._selected = int(choice) if choice.isdigit() else 0
            self._show_sliders()
            self._show_aids()

    def _reset(self) -> None:
        """Give the chosen face back the expression and identity it was found with."""
        with self._lock:
            scene, found = self._scene, self._found
            if scene is None or found is None or not len(scene):
                return
            faces = scene.faces.identity.clone(), scene.faces.expression.clone()
            for values, first in zip(faces, (found.faces.identity, found.faces.expression), strict=True):
                values[self._selected] = first[self._selected]
            surface = scene.surface_m
            if surface is not None and found.surface_m is not None:
                surface = surface.clone()
                surface[self._selected] = found.surface_m[self._selected]
            self._show_changed(scene.changed(replace(scene.faces, identity=faces[0], expression=faces[1]), surface))
            self._show_sliders()

    def _show_sliders(self) -> None:
        """One slider per expression, or per pair of them, and per leading identity mode, of the chosen face."""
        with self._lock:
            for slider in self._sliders:
                slider.remove()
            self._sliders = []
            if self._scene is None or not len(self._scene):
                return
            face, gui = self._scene[self._selected], self._client.gui
            for shown in expression_sliders(face.model.expression_names, symmetric=self._symmetric.value):
                value = round(float(np.mean([face.expressions[name] for name in shown.names])), 2)
                with self._folders[shown.group]:
                    slider = gui.add_slider(
                        shown.label, min=min(0.0, value), max=max(1.0, value), step=0.01, initial_value=value
                    )
                slider.on_update(lambda event, shown=shown: self._change_expression(shown, event.target.value))
                self._sliders.append(slider)
            with self._folders["Identity"]:
                for mode in range(min(IDENTITY_SLIDERS, face.model.num_identity)):
                    value = round(float(face.identity[mode]), 2)
                    side = max(_IDENTITY_RANGE, abs(value))
                    slider = gui.add_slider(f"Shape {mode + 1}", min=-side, max=side, step=0.05, initial_value=value)
                    slider.on_update(lambda event, mode=mode: self._change_identity(mode, event.target.value))
                    self._sliders.append(slider)

    def _change_expression(self, shown: ExpressionSlider, value: float) -> None:
        """Move one expression of the chosen face, or a pair of them."""
        with self._lock:
            if self._scene is not None:
                changed = self._scene[self._selected].expressions | dict.fromkeys(shown.names, value)
                self._show_changed(self._scene.with_expressions(changed, face=self._selected))

    def _change_identity(self, mode: int, value: float) -> None:
        """Move one identity mode of the chosen face."""
        with self._lock:
            if self._scene is not None:
                identity = self._scene.faces.identity.clone()
                identity[self._selected, mode] = value
                faces = replace(self._scene.faces, identity=identity)
                self._show_changed(self._scene.changed(faces, self._scene.surface_m))

    def _show_changed(self, scene: Scene) -> None:
        """Show a scene of which the chosen face has changed."""
        self._scene = scene
        self._nodes[self._selected] = self._show_face(scene, self._selected)

    def _download(self, kind: str) -> None:
        """Send the scene, sliders included, to the browser."""
        scene = self._scene
        if scene is None:
            return
        stem = Path(scene.name).stem or "scene"
        name, content = {
            "GLB": lambda: (f"{stem}.glb", scene_to_glb(scene)),
            "OBJ": lambda: (f"{stem}.zip", _obj_archive(scene, stem)),
            "JSON": lambda: (f"{stem}.json", scene_to_json(scene).encode()),
        }[kind]()
        self._client.send_file_download(name, content, save_immediately=True)


def _obj_archive(scene: Scene, stem: str) -> bytes:
    """OBJ, material and textures in one ZIP."""
    stream = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        write_obj(scene, Path(folder) / f"{stem}.obj")
        for path in sorted(Path(folder).iterdir()):
            archive.write(path, path.name)
    return stream.getvalue()
