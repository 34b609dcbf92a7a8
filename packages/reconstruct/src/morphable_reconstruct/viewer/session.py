"""One visitor of the page: the uploaded photograph, its 3D scene, the controls."""

import io
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
from morphable_reconstruct.viewer.meshes import SURFACES, face_mesh, thumbnail

IDENTITY_SLIDERS = 12
_IDENTITY_RANGE = 3.0
_FRUSTUM_SCALE = 0.2
_VIEWS = {"photo camera": None, "front": (0.0, 0.0, -1.0), "right": (1.0, 0.0, 0.0), "top": (0.0, -1.0, -0.001)}
"""Where each view's camera stands, seen from the middle of the faces; camera space is the page's world."""
_VIEW_DISTANCE = 2.2
_MARGIN_M = 0.15


class Session:
    """Controls and 3D scene of one browser window."""

    def __init__(self, client: Any, reconstructor: Reconstructor) -> None:
        self._client, self._reconstructor = client, reconstructor
        self._lock = threading.RLock()
        self._scene: Scene | None = None
        self._selected = 0
        self._nodes: list[Any] = []
        self._sliders: list[Any] = []
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
            self._scene, self._selected = scene, 0
            count = len(scene)
            self._status.content = f"**{name}**: {count or 'no'} {'face' if count == 1 else 'faces'} found"
            if self._picture is None:
                with self._photo_folder:
                    self._picture = gui.add_image(thumbnail(scene), label="boxes and landmarks")
            else:
                self._picture.image = thumbnail(scene)
            self._face_choice.options = [str(index) for index in range(count)] or ["-"]
            self._face_choice.value = self._face_choice.options[0]
            self._show_all()
            self._show_sliders()
            self.look("front" if count else "photo camera")

    def look(self, view: str) -> None:
        """Move the page's camera to a named view."""
        scene = self._scene
        if scene is None:
            return
        camera = self._client.camera
        vertices = scene.vertices_cam_m.reshape(-1, 3).numpy() if len(scene) else np.array([[0.0, 0.0, 1.0]])
        low, high = vertices.min(0) - _MARGIN_M, vertices.max(0) + _MARGIN_M
        middle, place = (low + high) / 2, _VIEWS[view]
        camera.up_direction = (0.0, -1.0, 0.0) if view != "top" else (0.0, 0.0, 1.0)
        if place is None:
            camera.position = (0.0, 0.0, 0.0)
            camera.look_at = (0.0, 0.0, float(middle[2]))
            camera.fov = scene.camera.vertical_fov_rad
            return
        camera.position = tuple((middle + np.array(place) * _VIEW_DISTANCE * (high - low).max() / 2).tolist())
        camera.look_at = tuple(middle.tolist())

    def _build_controls(self) -> None:
        """Lay out the panel."""
        gui = self._client.gui
        upload = gui.add_upload_button("Open a photograph", mime_type="image/*")
        self._status = gui.add_markdown("Open a photograph to see its faces in 3D.")
        self._photo_folder = gui.add_folder("Photograph")
        with gui.add_folder("View"):
            views = gui.add_button_group("camera", list(_VIEWS))
            self._surface = gui.add_dropdown("surface", list(SURFACES))
            self._wireframe = gui.add_checkbox("wireframe", initial_value=False)
        with gui.add_folder("Download"):
            downloads = gui.add_button_group("file", ["GLB", "OBJ", "JSON"])
        self._face_choice: Any = gui.add_dropdown("face", ["-"])
        self._expression_folder = gui.add_folder("Expression", expand_by_default=False)
        self._identity_folder = gui.add_folder("Identity", expand_by_default=False)
        upload.on_upload(lambda event: self.open(io.BytesIO(event.target.value.content), event.target.value.name))
        views.on_click(lambda event: self.look(event.target.value))
        self._surface.on_update(lambda _: self._show_all())
        self._wireframe.on_update(lambda _: self._show_all())
        downloads.on_click(lambda event: self._download(event.target.value))
        self._face_choice.on_update(lambda event: self._select(event.target.value))

    def _show_all(self) -> None:
        """Draw every face and the photograph's camera anew."""
        with self._lock:
            for node in self._nodes:
                node.remove()
            self._nodes = []
            scene = self._scene
            if scene is None:
                return
            for index in range(len(scene)):
                self._nodes.append(self._show_face(scene, index))
            height, width = scene.camera.size_hw
            self._nodes.append(
                self._client.scene.add_camera_frustum(
                    "/camera",
                    fov=scene.camera.vertical_fov_rad,
                    aspect=width / height,
                    scale=_FRUSTUM_SCALE,
                    thickness=0.002,
                    image=scene.overlay(opacity=0.0, boxes=False, landmarks=False, max_side_px=512),
                )
            )

    def _show_face(self, scene: Scene, index: int) -> Any:
        """Draw one face; a node of the same name is replaced."""
        face, name = scene[index], f"/face_{index:02d}"
        if self._wireframe.value:
            triangles = face.model.triangles.numpy()
            return self._client.scene.add_mesh_simple(name, face.vertices_cam_m, triangles, wireframe=True)
        return self._client.scene.add_mesh_trimesh(name, face_mesh(scene, index, self._surface.value))

    def _select(self, choice: str) -> None:
        """Show the sliders of another face."""
        with self._lock:
            self._selected = int(choice) if choice.isdigit() else 0
            self._show_sliders()

    def _show_sliders(self) -> None:
        """One slider per expression, and per leading identity mode, of the chosen face."""
        for slider in self._sliders:
            slider.remove()
        self._sliders = []
        if self._scene is None or not len(self._scene):
            return
        face, gui = self._scene[self._selected], self._client.gui
        with self._expression_folder:
            for name, value in face.expressions.items():
                low, high = min(0.0, value), max(1.0, value)
                slider = gui.add_slider(name, min=low, max=high, step=0.01, initial_value=value)
                slider.on_update(lambda event, name=name: self._change_expression(name, event.target.value))
                self._sliders.append(slider)
        with self._identity_folder:
            for mode in range(min(IDENTITY_SLIDERS, face.model.num_identity)):
                value = float(face.identity[mode])
                side = max(_IDENTITY_RANGE, abs(value))
                slider = gui.add_slider(f"mode {mode + 1}", min=-side, max=side, step=0.05, initial_value=value)
                slider.on_update(lambda event, mode=mode: self._change_identity(mode, event.target.value))
                self._sliders.append(slider)

    def _change_expression(self, name: str, value: float) -> None:
        """Move one expression of the chosen face."""
        with self._lock:
            if self._scene is not None:
                changed = self._scene[self._selected].expressions | {name: value}
                self._show_changed(self._scene.with_expressions(changed, face=self._selected))

    def _change_identity(self, mode: int, value: float) -> None:
        """Move one identity mode of the chosen face."""
        with self._lock:
            if self._scene is not None:
                identity = self._scene.faces.identity.clone()
                identity[self._selected, mode] = value
                self._show_changed(replace(self._scene, faces=replace(self._scene.faces, identity=identity)))

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
