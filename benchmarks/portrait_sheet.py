"""Contact sheets of what people get from photographs, GLB files drawn by three.js in Chromium included.

    npm install three
    python benchmarks/portrait_sheet.py PHOTOGRAPHS --three node_modules/three --out SHEETS

For every photograph one row: the photograph, the overlay, the frontal picture and the views of its largest face's
scene; then its default GLB as a browser shows it, from 0, 45 and 90 degrees about the head's own axis, with the
photograph's expression and with the mouth opened by `jawOpen`.
"""

import base64
import functools
import http.server
import json
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image

from morphable_reconstruct import ReconstructConfig, Reconstructor, Scene
from morphable_reconstruct.drawing.frontal import frontal_picture
from morphable_reconstruct.drawing.views import join_views

SUFFIXES = {".jpg", ".jpeg", ".png"}
PAGE = """<!doctype html><script type="importmap">{"imports": {"three": "/three/build/three.module.js",
"three/addons/": "/three/examples/jsm/"}}</script><script type="module">
import * as THREE from "three";
import {GLTFLoader} from "three/addons/loaders/GLTFLoader.js";
const jobs = await (await fetch("/jobs.json")).json();
const renderer = new THREE.WebGLRenderer({antialias: true, preserveDrawingBuffer: true});
renderer.setPixelRatio(1);
for (const job of jobs.files) {
  const gltf = await new GLTFLoader().loadAsync("/files/" + job.glb);
  const scene = new THREE.Scene();
  scene.background = new THREE.Color(0xffffff);
  scene.add(gltf.scene, new THREE.AmbientLight(0xffffff, 1.5), new THREE.DirectionalLight(0xffffff, 1.5));
  scene.updateMatrixWorld(true);
  const mesh = gltf.scene.getObjectByName(job.node);
  gltf.scene.traverse(o => { if (o.isMesh && o !== mesh) o.visible = false; });
  const camera = new THREE.PerspectiveCamera(22, 1, 0.01, 100);
  renderer.setSize(jobs.size, jobs.size);
  const jaw = mesh.morphTargetDictionary ? mesh.morphTargetDictionary["jawOpen"] : undefined;
  for (const open of [false, true]) {
    if (open && jaw !== undefined) mesh.morphTargetInfluences[jaw] = 1;
    for (const angle of jobs.angles) {
      const turn = angle * Math.PI / 180;
      const place = new THREE.Vector3(Math.sin(turn) * 0.85, 0, Math.cos(turn) * 0.85);
      camera.position.copy(mesh.localToWorld(place));
      camera.up.set(0, 1, 0).applyQuaternion(mesh.getWorldQuaternion(new THREE.Quaternion()));
      camera.lookAt(mesh.localToWorld(new THREE.Vector3(0, 0, 0)));
      renderer.render(scene, camera);
      const name = `${job.name}.${open ? "open" : "as_is"}.${angle}.png`;
      await fetch("/tile/" + name, {method: "POST", body: renderer.domElement.toDataURL("image/png")});
    }
  }
}
await fetch("/tile/done", {method: "POST", body: ""});
</script>"""


@dataclass(frozen=True, kw_only=True)
class SheetConfig:
    """Draw contact sheets of photographs and their reconstructions."""

    photographs: tyro.conf.Positional[tuple[Path, ...]]
    """Pictures, or folders of pictures."""
    three: Path
    """Folder of the npm package `three`."""
    out: Path
    """Folder of the sheets."""
    chromium: str = "chromium"
    """Command of the browser."""
    weights: str = "mobile"
    """Weights of the reconstruction."""
    texture: str = "photo"
    """Texture of the GLB files."""
    tile_px: int = 320
    """Side of a tile."""
    rows: int = 4
    """Photographs on one sheet."""
    faces: int = 1
    """Faces of each photograph, the largest first."""
    min_face_px: float = 48.0
    """Smaller faces are left out."""
    angles_deg: tuple[int, ...] = (0, 45, 90)
    """Sides from which the GLB is drawn."""
    timeout_s: float = 900.0
    """Time for the browser."""
    reconstruct: ReconstructConfig = field(default_factory=ReconstructConfig)


@dataclass(frozen=True)
class Job:
    """One face of a GLB file."""

    name: str
    glb: str
    node: str
    tiles: list[Image.Image]
    """What is shown beside the browser's pictures."""


def prepare(path: Path, reconstructor: Reconstructor, config: SheetConfig, folder: Path) -> list[Job]:
    """Reconstruct a photograph; write its GLB and draw the first tiles of each face's row."""
    scene = reconstructor(path)
    glb = f"{path.stem}.glb"
    scene.save(folder / glb, texture=config.texture)
    sizes = np.ptp(scene.box_xyxy_px.reshape(-1, 2, 2), axis=1).max(1) if len(scene) else np.zeros(0)
    chosen = [int(i) for i in np.argsort(-sizes)[: config.faces] if sizes[i] >= config.min_face_px]
    views = join_views(scene.views(size_px=2 * config.tile_px)) if chosen else None
    jobs = []
    for index in chosen:
        face = scene[index]
        pictures = [around(scene.image, scene, index), around(scene.overlay(max_side_px=10_000), scene, index)]
        tiles = [
            Image.fromarray(picture) for picture in (*pictures, frontal_picture(face, depth_m=scene.depth_m), views)
        ]
        jobs.append(Job(f"{path.stem}-{index:02d}", glb, f"face_{index:02d}", tiles))
    return jobs


def around(picture: np.ndarray, scene: Scene, index: int) -> np.ndarray:
    """Cut a face with its surroundings out of a picture of the photograph's size."""
    box = scene.box_xyxy_px[index].reshape(2, 2)
    half = 0.95 * float((box[1] - box[0]).max())
    middle = box.mean(0) - [0.0, 0.15 * half]
    low, high = np.floor(middle - half).clip(0).astype(int), np.ceil(middle + half).astype(int)
    return picture[low[1] : high[1], low[0] : high[0]]


class _Handler(http.server.BaseHTTPRequestHandler):
    """Gives the page, the library and the files out, and takes pictures in."""

    def __init__(self, *args: object, folder: Path, three: Path, done: threading.Event) -> None:
        self.folder, self.three, self.done = folder, three, done
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer with a file."""
        area, _, rest = self.path.lstrip("/").partition("/")
        if not area:
            return self._answer(PAGE.encode(), "text/html")
        root = self.three if area == "three" else self.folder
        path = root / (rest if area in ("three", "files") else area)
        if not path.is_file():
            return self.send_error(404)
        return self._answer(
            path.read_bytes(), "text/javascript" if path.suffix == ".js" else "application/octet-stream"
        )

    def do_POST(self) -> None:
        """Keep a picture; `done` ends the session."""
        content = self.rfile.read(int(self.headers["Content-Length"]))
        name = Path(self.path).name
        if name == "done":
            self.done.set()
        else:
            (self.folder / name).write_bytes(base64.b64decode(content.partition(b",")[2]))
        self._answer(b"", "text/plain")

    def _answer(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Stay silent."""


def draw_in_browser(jobs: list[Job], config: SheetConfig, folder: Path) -> None:
    """Let Chromium draw every GLB file; the pictures lie in the folder afterwards.

    Raises:
        TimeoutError: The browser did not finish in time.
    """
    listed = [{"name": job.name, "glb": job.glb, "node": job.node} for job in jobs]
    wanted = {"files": listed, "angles": config.angles_deg, "size": config.tile_px}
    (folder / "jobs.json").write_text(json.dumps(wanted))
    done = threading.Event()
    handler = functools.partial(_Handler, folder=folder, three=config.three, done=done)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, tempfile.TemporaryDirectory() as profile:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = ["--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        page = f"http://127.0.0.1:{server.server_port}/"
        command = [config.chromium, *options, f"--user-data-dir={profile}", "--remote-debugging-port=0", page]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if not done.wait(config.timeout_s):
                raise TimeoutError(f"{config.chromium} must draw {len(jobs)} faces in {config.timeout_s:g} s")
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()


def row_of(job: Job, config: SheetConfig, folder: Path) -> Image.Image:
    """All tiles of one face, side by side."""
    names = [f"{job.name}.{state}.{angle}.png" for state in ("as_is", "open") for angle in config.angles_deg]
    tiles = [*job.tiles, *(Image.open(folder / name).convert("RGB") for name in names)]
    row = Image.new("RGB", (len(tiles) * config.tile_px, config.tile_px), "white")
    for index, tile in enumerate(tiles):
        small = tile.copy()
        small.thumbnail((config.tile_px, config.tile_px))
        left = index * config.tile_px + (config.tile_px - small.width) // 2
        row.paste(small, (left, (config.tile_px - small.height) // 2))
    return row


def main() -> None:
    """Draw the sheets."""
    config = tyro.cli(SheetConfig, description=__doc__)
    torch.set_num_threads(1)
    listed = [sorted(path.iterdir()) if path.is_dir() else [path] for path in config.photographs]
    paths = [path for group in listed for path in group if path.suffix.lower() in SUFFIXES]
    reconstructor = Reconstructor(config.weights, config=config.reconstruct)
    config.out.mkdir(parents=True, exist_ok=True)
    jobs = [job for path in paths for job in prepare(path, reconstructor, config, config.out)]
    draw_in_browser(jobs, config, config.out)
    rows = [row_of(job, config, config.out) for job in jobs]
    for start in range(0, len(rows), config.rows):
        part = rows[start : start + config.rows]
        sheet = Image.new("RGB", (part[0].width, config.tile_px * len(part)), "white")
        for index, row in enumerate(part):
            sheet.paste(row, (0, index * config.tile_px))
        sheet.save(config.out / f"sheet_{start // config.rows:02d}.png")


if __name__ == "__main__":
    main()
