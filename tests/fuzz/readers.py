"""The readers that are fuzzed: for each a whole file to damage, and the function that reads it."""

import gzip
import io
import json
import pickle
import shutil
import struct
import tarfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
from media import GROUPS_OF_MEDIA
from PIL import Image, ImageCms
from reader import Reader, in_folder, written
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
    "dds": ("DDS", ".dds"),
    "ico": ("ICO", ".ico"),
    "icns": ("ICNS", ".icns"),
    "im": ("IM", ".im"),
    "pcx": ("PCX", ".pcx"),
    "qoi": ("QOI", ".qoi"),
    "sgi": ("SGI", ".sgi"),
    "xbm": ("XBM", ".xbm"),
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

    plain = {name: Reader(suffix, _picture(kind), load_photograph) for name, (kind, suffix) in PICTURE_FORMATS.items()}
    return plain | {name: Reader("", make, load_photograph) for name, make in _ODD_PICTURES.items()}


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
        (_pixels().convert("1") if kind == "XBM" else _pixels()).save(stream, kind, **more)
        return stream.getvalue()

    return make


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def _profile() -> bytes:
    """A profile that is applied, because its name is not sRGB's."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"s\0R\0G\0B", b"w\0i\0d\0e")


def _frames() -> list[Image.Image]:
    clear = Image.new("RGBA", (64, 48))
    return [clear, _pixels().convert("RGBA"), _pixels().rotate(180).convert("RGBA")]


def _deep_png() -> bytes:
    """Dark colors of 16 bits, whose lower bytes are read as well."""
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in np.arange(48 * 64 * 3).reshape(48, 64 * 3) % 1000)
    chunks = {b"IHDR": struct.pack(">IIBBBBB", 64, 48, 16, 2, 0, 0, 0), b"IDAT": zlib.compress(lines), b"IEND": b""}
    sealed = (struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(sealed)


_ODD_PICTURES: dict[str, Callable[[], bytes]] = {
    "jpeg_cmyk": lambda: _saved(_pixels().convert("CMYK"), "JPEG", icc_profile=_profile()),
    "jpeg_profile": lambda: _saved(_pixels(), "JPEG", icc_profile=_profile()),
    "mpo": lambda: _saved(_pixels(), "MPO", save_all=True, append_images=[_pixels()]),
    "png_palette_profile": lambda: _saved(
        _pixels().quantize(16), "PNG", icc_profile=_profile(), transparency=bytes(range(16))
    ),
    "png_gray_16": lambda: _saved(Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)), "PNG"),
    "png_deep": _deep_png,
    "apng": lambda: _saved(_frames()[0], "PNG", save_all=True, append_images=_frames()[1:]),
    "webp_animated": lambda: _saved(_frames()[0], "WEBP", save_all=True, append_images=_frames()[1:]),
    "tiff_packed": lambda: _saved(_pixels(), "TIFF", compression="tiff_deflate", icc_profile=_profile()),
    "tiff_lab": lambda: _saved(Image.new("LAB", (64, 48), (128, 100, 150)), "TIFF"),
}
"""Pictures of kinds of their own."""


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
    from morphable.importers.ict import import_ict
    from morphable.importers.safe_pickle import load_arrays
    from morphable.importers.statismo import import_statismo
    from morphable.importers.tddfa import import_3ddfa
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

    points = {"lmk_face_idx": np.arange(51) % 12, "lmk_b_coords": np.full((51, 3), 1 / 3)}
    corner = np.arange(204) % 36
    basis = {"u_shp": flame["v_template"].reshape(-1, 1) * 1e6, "u_exp": np.zeros((36, 1)), "keypoints_sim": corner}
    basis |= {"w_shp_sim": np.ones((36, 4)), "w_exp_sim": np.ones((36, 3)), "tri": grid}
    pickled = {"u": basis["u_shp"], "w_shp": np.ones((36, 5)), "w_exp": np.ones((36, 3)), "keypoints": corner}

    def numpy_folder(folder: Path) -> None:
        for name, array in basis.items():
            np.save(folder / f"{name}.npy", array)

    def mesh_folder(folder: Path) -> None:
        (folder / "generic_neutral_mesh.obj").write_text(obj)
        for name in ("identity000", "jawOpen"):
            (folder / f"{name}.obj.gz").write_bytes(gzip.compress(obj.encode(), mtime=0))
        listed = {"expressions": ["jawOpen"], "idx_to_landmark_verts": (np.arange(68) % 3).tolist()}
        (folder / "vertex_indices.json").write_text(json.dumps(listed))

    def embedded(folder: Path) -> None:
        (folder / "flame.pkl").write_bytes(pickle.dumps(flame, protocol=2))
        (folder / "points.pkl").write_bytes(pickle.dumps(points, protocol=2))

    def numbered(folder: Path) -> None:
        hdf5(folder / "model.h5")
        (folder / "points.txt").write_text(" ".join(str(k % 12) for k in range(68)))

    tensors = OrderedDict(a=torch.arange(12).reshape(3, 4), b=np.ones(5, np.float32))
    obj = "".join(f"v {x} {y} {z}\n" for x, y, z in flame["v_template"]) + "f 1 2 3\nf 2/1/1 3 4 5\n"
    return {
        "flame": Reader(".pkl", lambda: pickle.dumps(flame, protocol=2), import_flame),
        "flame_protocol_5": Reader(".pkl", lambda: pickle.dumps(OrderedDict(flame), protocol=5), import_flame),
        "flame_npz": Reader(".npz", written(lambda path: np.savez(path, **flame), ".npz"), import_flame),
        "flame_points": in_folder(
            "points.pkl", embedded, lambda folder: import_flame(folder / "flame.pkl", landmarks=folder / "points.pkl")
        ),
        "3ddfa_array": in_folder("w_exp_sim.npy", numpy_folder, import_3ddfa),
        "3ddfa_triangles": in_folder("tri.npy", numpy_folder, import_3ddfa),
        "3ddfa_v2": Reader(".pkl", lambda: pickle.dumps(pickled | {"tri": grid}, protocol=2), import_3ddfa),
        "ict_indices": in_folder("vertex_indices.json", mesh_folder, import_ict),
        "ict_packed": in_folder("identity000.obj.gz", mesh_folder, import_ict),
        "hdf5_points": in_folder(
            "points.txt",
            numbered,
            lambda folder: import_statismo(folder / "model.h5", landmarks=folder / "points.txt"),
        ),
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
    from morphable_evalkit.datasets.aflw import read_aflw, read_aflw_lfpa
    from morphable_evalkit.datasets.conversion import from_json
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

    def aflw(folder: Path) -> None:
        for name, array in {
            "pts21": np.ones((5, 2, 21)),
            "pts68": np.ones((5, 2, 68)),
            "crop_yaws": np.ones(5),
        }.items():
            np.save(folder / f"AFLW_GT_{name}.npy", array)

    def lfpa(folder: Path) -> None:
        arrays = {"points34_px": np.ones((3, 34, 2)), "box_xyxy_px": np.ones((3, 4)), "yaw_deg": np.ones(3)}
        np.savez(folder / "aflw_lfpa.npz", image=["a.jpg", "b.jpg", "c.jpg"], **arrays)

    face = {"landmarks68_px": [[float(k), float(k % 9)] for k in range(68)], "score": 0.5}
    plain = json.dumps({"system": "ours", "images": [{"image": "a.jpg", "size_hw": [9, 9], "faces": [face]}]}).encode()
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
        "aflw": in_folder("AFLW_GT_pts21.npy", aflw, read_aflw),
        "aflw_lfpa": in_folder("aflw_lfpa.npz", lfpa, read_aflw_lfpa),
        "plain_json": Reader(".json", lambda: plain, from_json),
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
    from morphable_reconstruct.batch.options import RunConfig
    from morphable_reconstruct.batch.records import Records
    from morphable_reconstruct.exports.coefficients import scene_to_arrays, scene_to_json
    from morphable_reconstruct.exports.saved import read_scene
    from morphable_reconstruct.photographs.sources import Source
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

    source = Source(kind="image", path=Path(__file__), name="a.py", stem="a")

    def records(folder: Path) -> Records:
        made = Records(RunConfig(sources=("a.py",), out=folder), "0" * 64)
        made._path = lambda _: folder / "a.npz"  # type: ignore[method-assign]
        return made

    def record(folder: Path) -> None:
        records(folder).add(source, ("a.py",), {"score": np.ones(2, np.float32)})
        shutil.copyfile(__file__, folder / "a.py")

    return {
        "scene_json": Reader(".json", scene_to_json(scene).encode, lambda path: read_scene(path, model)),
        "scene_npz": Reader(
            ".npz", written(lambda path: np.savez(path, **small), ".npz"), lambda path: read_scene(path, model)
        ),
        "fitted_json": Reader(".json", scene_to_json(scene).encode, read_faces),
        "fitted_npz": Reader(
            ".npz", written(lambda path: np.savez(path, **scene_to_arrays(scene)), ".npz"), read_faces
        ),
        "record": in_folder("a.npz", record, lambda folder: records(folder).find(source)),
        "shard": Reader(".tar", shard, lambda path: list(read_shard(path))),
    }
