"""The readers that are fuzzed: for each a whole file to damage, and the function that reads it."""

import io
import json
import pickle
import struct
import tarfile
from collections import OrderedDict
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
from media import GROUPS_OF_MEDIA
from PIL import Image
from reader import Reader, written
from training import readers_of_training

PICTURE_FORMATS = {
    "jpeg": ("JPEG", ".jpg"),
    "png": ("PNG", ".png"),
    "webp": ("WEBP", ".webp"),
    "tiff": ("TIFF", ".tif"),
    "gif": ("GIF", ".gif"),
    "bmp": ("BMP", ".bmp"),
    "avif": ("AVIF", ".avif"),
    "jpeg2000": ("JPEG2000", ".jp2"),
    "ppm": ("PPM", ".ppm"),
    "tga": ("TGA", ".tga"),
}


_LARGE_ARRAY = 2000
"""Arrays of a scene that are larger are not read back."""
_NAMES = ("Outer right", "Inner right", "Inner left", "Outer left")
_LM3 = "".join(f"{name} eye corner\n{k} {k + 1} 2.5\n" for k, name in enumerate(_NAMES))
_SEVEN_POINTS = {
    ".txt": "".join(f"{k} {2 * k} {3.5 * k}\n" for k in range(7)),
    ".pp": "".join(f'<point x="{k}" y="{k + 1}" z="{2.5 * k}" name="{k}" active="1"/>\n' for k in range(7)),
    ".lm3": f"# 3D\n7 landmarks:\n{_LM3}Nose tip\n1 2 3\nRight mouth corner\n4 5 6\nLeft mouth corner\n7 8 9\n",
}


def readers(names: Collection[str] = ()) -> dict[str, Reader]:
    """Return readers by name: all, or at least those that are named, without the imports of most others."""
    found: dict[str, Reader] = {}
    for group in (*GROUPS_OF_MEDIA, _pictures, _heif, _arrays, _evaluation, _models, _scenes, readers_of_training):
        if names and found.keys() >= set(names):
            break
        added = group()
        if shared := found.keys() & added.keys():
            raise ValueError(f"readers must have names of their own, got {sorted(shared)} twice")
        found |= added
    return found


def _pictures() -> dict[str, Reader]:
    from morphable_reconstruct.photographs.reading import load_photograph

    return {name: Reader(suffix, _picture(kind), load_photograph) for name, (kind, suffix) in PICTURE_FORMATS.items()}


def _pixels() -> Image.Image:
    ramp = np.linspace(0, 255, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)
    return Image.fromarray(ramp)


def _picture(kind: str) -> Callable[[], bytes]:
    def make() -> bytes:
        exif = Image.Exif()
        exif[0x0112] = 6
        exif.get_ifd(0x8769)[0xA405] = 28
        stream = io.BytesIO()
        more = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF") else {}
        _pixels().save(stream, kind, **more)
        return stream.getvalue()

    return make


def _heif() -> dict[str, Reader]:
    try:
        import pillow_heif
    except ModuleNotFoundError:
        return {}
    from morphable_reconstruct.photographs.reading import load_photograph

    def make() -> bytes:
        stream = io.BytesIO()
        pillow_heif.from_pillow(_pixels()).save(stream)
        return stream.getvalue()

    return {"heic": Reader(".heic", make, load_photograph)}


def _arrays() -> dict[str, Reader]:
    """Pickles, MATLAB files and HDF5 files of face models."""
    import torch
    from scipy.io import savemat

    from morphable.importers.bfm09 import import_bfm09
    from morphable.importers.flame import import_flame
    from morphable.importers.safe_pickle import load_arrays
    from morphable.importers.statismo import import_statismo
    from morphable.importers.wavefront import read_obj

    grid = np.stack([np.arange(30), np.arange(30) + 1, np.arange(30) + 2], -1) % 12
    flame = {
        "v_template": np.random.default_rng(0).normal(size=(12, 3)) * 0.05,
        "shapedirs": np.zeros((12, 3, 320)),
        "f": grid.astype(np.uint32),
    }
    crop = {
        "meanshape": flame["v_template"].reshape(1, -1),
        "meantex": np.full((1, 36), 100.0),
        **{name: np.zeros((36, 3)) for name in ("idBase", "exBase", "texBase")},
        "tri": grid + 1.0,
        "keypoints": np.arange(68)[None] % 12 + 1.0,
        "skinmask": np.ones((1, 12)),
        "frontmask2_idx": np.ones((3, 1)),
    }

    def hdf5(path: Path) -> None:
        import h5py

        with h5py.File(path, "w") as file:
            for name in ("shape", "color", "expression"):
                file[f"{name}/model/mean"] = flame["v_template"].reshape(-1)
                file[f"{name}/model/pcaBasis"] = np.eye(36, 4)
                file[f"{name}/model/pcaVariance"] = np.ones(4)
                file[f"{name}/representer/cells"] = grid.T

    tensors = OrderedDict(a=torch.arange(12).reshape(3, 4), b=np.ones(5, np.float32))
    obj = "".join(f"v {x} {y} {z}\n" for x, y, z in flame["v_template"]) + "f 1 2 3\nf 2/1/1 3 4 5\n"
    return {
        "flame": Reader(".pkl", lambda: pickle.dumps(flame, protocol=2), import_flame),
        "flame_protocol_5": Reader(".pkl", lambda: pickle.dumps(OrderedDict(flame), protocol=5), import_flame),
        "flame_npz": Reader(".npz", written(lambda path: np.savez(path, **flame), ".npz"), import_flame),
        "torch_pickle": Reader(".pkl", lambda: pickle.dumps(tensors, protocol=2), load_arrays),
        "matlab": Reader(".mat", written(lambda path: savemat(path, crop), ".mat"), import_bfm09),
        "hdf5": Reader(".h5", written(hdf5, ".h5"), import_statismo),
        "wavefront": Reader(".obj", obj.encode, read_obj),
    }


def _models() -> dict[str, Reader]:
    """Face models and weights."""
    import torch

    from morphable import (
        ModelData,
        ModelReference,
        MorphableModel,
        WeightsInfo,
        load_model,
        read_weights,
        write_weights,
    )
    from morphable_detector_head import DetectorConfig, build_detector, load_detector, save_detector
    from morphable_detector_head.files import read_state_dict
    from morphable_detector_head.layout import ParameterLayout
    from morphable_regressors import CropRule, SystemSpec
    from morphable_regressors.systems import ParameterConfig

    mean = torch.randn(12, 3, generator=torch.Generator().manual_seed(0)) * 0.05
    triangles = torch.stack([torch.arange(10), torch.arange(10) + 1, torch.arange(10) + 2], -1)
    data = ModelData(
        name="tiny",
        mean=mean,
        identity_basis=torch.zeros(2, 12, 3),
        expression_basis=torch.zeros(2, 12, 3),
        mean_albedo=torch.full((12, 3), 0.5),
        albedo_basis=torch.zeros(1, 12, 3),
        triangles=triangles,
    )
    reference = ModelReference(name="tiny", sha256="0" * 64, num_identity=2, num_expression=2, num_albedo=1)
    info = WeightsInfo(name="tiny", architecture={}, model=reference, license="CC0", training_data="none")

    def detector(path: Path) -> None:
        torch.manual_seed(0)
        layout = ParameterLayout(num_identity=2, num_expression=2, num_albedo=1)
        small = {"backbone": "mobilenet_v3_small", "width": 8, "center_width": 8, "parameter_width": 8}
        network = build_detector(DetectorConfig(model_name="tiny", layout=layout, **small))
        save_detector(
            network, path, model=MorphableModel(data), name="tiny", license="CC0", training_data="", dtype=torch.float16
        )

    def per_face(path: Path) -> SystemSpec:
        return SystemSpec.from_json(read_weights(path)[0].architecture)

    spec = SystemSpec(crop=CropRule(side_px=32), config=ParameterConfig())
    system = WeightsInfo(name="tiny", architecture=spec.to_json(), model=reference, license="CC0", training_data="none")
    tensors = {"module.a": torch.zeros(3, 4), "module.b": torch.ones(2)}
    return {
        "detector": Reader(".safetensors", written(detector, ".safetensors"), load_detector),
        "per_face": Reader(
            ".safetensors",
            written(lambda path: write_weights(path, system, {"a": torch.zeros(2)}), ".safetensors"),
            per_face,
        ),
        "torch_checkpoint": Reader(".pth", written(lambda path: torch.save(tensors, path), ".pth"), read_state_dict),
        "model": Reader(
            ".safetensors", written(lambda path: MorphableModel(data).save(path), ".safetensors"), load_model
        ),
        "weights": Reader(
            ".safetensors",
            written(lambda path: write_weights(path, info, {"a": torch.zeros(3, 4)}), ".safetensors"),
            read_weights,
        ),
    }


def _evaluation() -> dict[str, Reader]:
    """Prediction files, meshes and MATLAB files of evalkit."""
    from scipy.io import savemat

    from morphable_evalkit import read_predictions
    from morphable_evalkit.alignment.point_sets import read_vertex_map
    from morphable_evalkit.matlab import read_mat
    from morphable_evalkit.measures.latency import TIMING_FORMAT, TIMING_VERSION, read_timings
    from morphable_evalkit.reports.records import read_groups
    from morphable_evalkit.reports.results import ItemResult, Result, read_results, write_results
    from morphable_evalkit.scans.bosphorus import read_bnt
    from morphable_evalkit.scans.layouts import read_landmarks
    from morphable_evalkit.scans.mesh_files import read_mesh

    def read_seven(path: Path) -> object:
        return read_landmarks(path.with_suffix(".obj"), path.parent, path)

    timings = {
        "format": TIMING_FORMAT,
        "version": TIMING_VERSION,
        "timings": [{"system": "ours", "device": "cpu", "notes": "", "samples_ms": {"1": [12.5, 13.0], "2": [14.0]}}],
    }
    items = (ItemResult(image="a.jpg", face=0, error=0.03),)
    result = Result(
        command="nme", system="ours", protocol={"points": "static"}, unit="fraction", summary={}, items=items
    )

    old = Path(__file__).parents[1] / "old_formats" / "predictions.npz"
    ply = (
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    )
    mat = {"pt3d_68": np.arange(204.0).reshape(3, 68), "Pose_Para": np.zeros((1, 7))}
    return {
        "predictions": Reader(".npz", old.read_bytes, read_predictions),
        "ply": Reader(".ply", ply.encode, read_mesh),
        "obj": Reader(".obj", lambda: b"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1\n", read_mesh),
        "bosphorus": Reader(".bnt", _bosphorus, read_bnt),
        **{f"landmarks{suffix}": Reader(suffix, text.encode, read_seven) for suffix, text in _SEVEN_POINTS.items()},
        "landmarks.npy": Reader(".npy", written(lambda path: np.save(path, np.ones((7, 3))), ".npy"), read_seven),
        "timings.csv": Reader(
            ".csv", lambda: b"system,device,faces,ms\nours,cpu,1,12.5\nours,cpu,2,14\n", read_timings
        ),
        "timings.json": Reader(".json", json.dumps(timings).encode, read_timings),
        "results": Reader(".json", written(lambda path: write_results(path, [result]), ".json"), read_results),
        "groups": Reader(".csv", lambda: b"image,face,group\na.jpg,0,dark\nb.jpg,1,light\n", read_groups),
        "vertex_map": Reader(".json", lambda: b"[1, 5, 9, 12]", lambda path: read_vertex_map(path, 4)),
        "evalkit_matlab": Reader(".mat", written(lambda path: savemat(path, mat), ".mat"), read_mat),
    }


def _bosphorus() -> bytes:
    """A range image of 4 x 5 pixels."""
    values = np.random.default_rng(0).normal(size=(5, 4, 5))
    return struct.pack("<HHdH", 4, 5, -1e9, 3) + b"abc" + struct.pack("<I", values.size) + values.tobytes()


def _scenes() -> dict[str, Reader]:
    """Saved scenes, and shards of synthetic scenes."""
    import torch

    import morphable_reconstruct as mr
    from morphable import load_model
    from morphable.fitted_scenes import read_faces
    from morphable_reconstruct.exports.coefficients import scene_to_arrays, scene_to_json
    from morphable_reconstruct.exports.saved import read_scene
    from morphable_synth.datasets.shards import read_shard

    model = load_model("open")
    scene = mr.Scene(
        photo=mr.load_photograph(np.full((48, 64, 3), 128, np.uint8), name="a.jpg"),
        camera=mr.Camera(focal_px=100.0, size_hw=(48, 64)),
        model=model,
        faces=model.sample(1, torch.Generator().manual_seed(0)),
        score=np.array([0.9], np.float32),
        center_px=np.array([[30.0, 20.0]], np.float32),
    )
    small = {name: value for name, value in scene_to_arrays(scene).items() if value.size < _LARGE_ARRAY}

    def shard() -> bytes:
        arrays, stream = io.BytesIO(), io.BytesIO()
        np.savez(arrays, format_version=1, focal_px=np.float32(100.0))
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for name, body in (
                ("0.npz", arrays.getvalue()),
                ("0.jpg", _picture("JPEG")()),
                ("0.mask.png", _picture("PNG")()),
            ):
                entry = tarfile.TarInfo(name)
                entry.size = len(body)
                tar.addfile(entry, io.BytesIO(body))
        return stream.getvalue()

    return {
        "scene_json": Reader(".json", scene_to_json(scene).encode, lambda path: read_scene(path, model)),
        "scene_npz": Reader(
            ".npz", written(lambda path: np.savez(path, **small), ".npz"), lambda path: read_scene(path, model)
        ),
        "fitted_json": Reader(".json", scene_to_json(scene).encode, read_faces),
        "fitted_npz": Reader(
            ".npz", written(lambda path: np.savez(path, **scene_to_arrays(scene)), ".npz"), read_faces
        ),
        "shard": Reader(".tar", shard, lambda path: list(read_shard(path))),
    }
