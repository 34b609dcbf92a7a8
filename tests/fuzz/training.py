"""Readers of what training uses: labels, shards, checkpoints, runs, assets of synthetic people."""

import io
import json
import shutil
import tarfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image
from reader import Reader, in_folder, written


def readers_of_training() -> dict[str, Reader]:
    """Return the readers of `train` and `synth` by name."""
    return _labels() | _runs() | _assets()


def _labels() -> dict[str, Reader]:
    """Pictures with points, and shards of them."""
    from scipy.io import savemat

    from morphable_train.data.labels import labels_to_bytes, weak_labels
    from morphable_train.data.pictures import read_picture
    from morphable_train.data.shards import DatasetInfo, ShardReader, read_info, write_info
    from morphable_train.readers.points import json_item, pts_item, read_entries
    from morphable_train.readers.w300lp import read_basel_fit

    points = np.arange(136.0).reshape(68, 2)
    pts = "version: 1\nn_points: 68\n{\n" + "".join(f"{x} {y}\n" for x, y in points) + "}\n"
    faces = {"a.jpg": {"landmarks68_px": points.tolist()}, "b.jpg": {"landmarks68_px": [points.tolist()] * 2}}
    fit = {"Shape_Para": np.zeros((9, 1)), "Exp_Para": np.zeros((5, 1)), "Pose_Para": np.full((1, 7), 0.1)}

    def jpeg() -> bytes:
        stream, exif = io.BytesIO(), Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)).save(stream, "JPEG", exif=exif)
        return stream.getvalue()

    def shard() -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for name, body in (("0.jpg", jpeg()), ("0.npz", labels_to_bytes(weak_labels(points[None].astype("f4"))))):
                entry = tarfile.TarInfo(name)
                entry.size = len(body)
                tar.addfile(entry, io.BytesIO(body))
        return stream.getvalue()

    def read_shard(path: Path) -> object:
        folder = path.parent / "shards"
        folder.mkdir(exist_ok=True)
        shutil.copyfile(path, folder / "0.tar")
        reader = ShardReader(folder)
        return [reader.read(index) for index in range(len(reader))]

    def read_description(path: Path) -> object:
        shutil.copyfile(path, path.parent / "dataset.json")
        return read_info(path.parent)

    def description(path: Path) -> None:
        write_info(path.parent, DatasetInfo(name="a", license="CC0", records=3, faces=4))
        (path.parent / "dataset.json").rename(path)

    return {
        "training_picture": Reader(".jpg", jpeg, read_picture),
        "pts": Reader(".pts", pts.encode, lambda path: pts_item("a", path, path)),
        "landmarks_json": Reader(
            ".json",
            json.dumps(faces).encode,
            lambda path: [json_item(name, path, entry) for name, entry in read_entries(path).items()],
        ),
        "300w_lp": Reader(".mat", written(lambda path: savemat(path, fit), ".mat"), read_basel_fit),
        "training_shard": Reader(".tar", shard, read_shard),
        "dataset_json": Reader(".json", written(description, ".json"), read_description),
    }


def _runs() -> dict[str, Reader]:
    """Checkpoints and settings."""
    import torch
    from torch import nn

    from morphable_train.configs.stages import TrainConfig
    from morphable_train.runs.checkpoint import Progress, read_checkpoint, restore, save_checkpoint
    from morphable_train.runs.logs import RUN_FILE, plain, write_run_file
    from morphable_train.runs.optimizer import AveragedWeights
    from morphable_train.runs.settings import read_config, read_run_config

    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    average, optimizer = AveragedWeights(network, 0.9), torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()

    def checkpoint(path: Path) -> None:
        written_to = save_checkpoint(
            path.parent,
            network,
            average,
            optimizer,
            progress=Progress(step=1),
            architecture={"width": 2},
            keep=1,
        )
        written_to.rename(path)

    def resume(path: Path) -> None:
        groups, _ = read_checkpoint(path, {"width": 2})
        fresh = nn.Linear(3, 2)
        restore(groups, fresh, AveragedWeights(fresh, 0.9), torch.optim.AdamW(fresh.parameters()), path=path)

    def run_file(path: Path) -> None:
        write_run_file(path.parent, TrainConfig(), processes=1)
        (path.parent / RUN_FILE).rename(path)

    def read_run(path: Path) -> object:
        shutil.copyfile(path, path.parent / RUN_FILE)
        return read_run_config(path.parent)

    return {
        "checkpoint": Reader(".safetensors", written(checkpoint, ".safetensors"), resume),
        "run_json": Reader(".json", written(run_file, ".json"), read_run),
        "config_json": Reader(".json", json.dumps(plain(asdict(TrainConfig()))).encode, read_config),
    }


def _assets() -> dict[str, Reader]:
    """Meshes, lights and skins of synthetic people."""
    import morphable_synth.datasets.shards as generated
    from morphable_synth import GenerateConfig, SceneConfig
    from morphable_synth.assets.catalog import read_texture
    from morphable_synth.assets.environment import read_radiance
    from morphable_synth.assets.proxies import read_obj, read_proxy
    from morphable_synth.datasets.provenance import LICENSE_FILE, sources_of

    obj = "".join(f"v {k} {k % 3} 0\n" for k in range(6)) + "vt 0 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3\nf 4/1 5/2 6/3\n"
    clothes = "obj_file a.obj\nx_scale 1 2 1.5\nverts 0\n" + "".join(
        f"{k} {k + 1} {k + 2} 0.2 0.3 0.5 0 0.1 0\n" for k in range(6)
    )
    flat = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 8 +X 16\n" + bytes(range(128)) * 4
    runs = bytes([2, 2, 0, 16] + [144, 120] * 4) * 8
    packed = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 8 +X 16\n" + runs

    def png() -> bytes:
        stream = io.BytesIO()
        Image.fromarray(np.arange(48 * 64 * 4, dtype=np.uint8).reshape(48, 64, 4)).save(stream, "PNG")
        return stream.getvalue()

    generated.code_version = lambda: "1"  # reads megabytes each time

    def run(folder: Path) -> object:
        return generated._claim(
            GenerateConfig(scenes=SceneConfig(), out=folder, seed=1, count=4, shard_size=2, workers=1)
        )

    def licenses(folder: Path) -> None:
        listed = [{"pattern": "*", "name": "ours", "license": "CC0"}, {"pattern": "a/*", "name": "b", "license": "MIT"}]
        (folder / LICENSE_FILE).write_text(json.dumps(listed))

    def read_clothes(path: Path) -> object:
        (path.parent / "a.obj").write_text(obj)
        return read_proxy(path)

    return {
        "proxy": Reader(".mhclo", clothes.encode, read_clothes),
        "proxy_obj": Reader(".obj", obj.encode, read_obj),
        "synth_run": in_folder("run.json", run, run),
        "synth_description": in_folder("dataset.json", run, run),
        "licenses": in_folder(
            LICENSE_FILE, licenses, lambda folder: sources_of(SceneConfig(level="makehuman", assets=folder))
        ),
        "radiance": Reader(".hdr", lambda: flat, read_radiance),
        "radiance_packed": Reader(".hdr", lambda: packed, read_radiance),
        "texture": Reader(".png", png, read_texture),
    }
