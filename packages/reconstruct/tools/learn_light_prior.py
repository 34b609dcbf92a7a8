"""Learn the distribution of light on faces from synthetic people whose albedo is known, and check it for bias.

    morphable-synth generate --out SHARDS --seed 5151 --count 400 --scenes.level makehuman --scenes.assets ASSETS
        --scenes.layout single --scenes.size-px 224
    python packages/reconstruct/tools/learn_light_prior.py --shards SHARDS --out light_prior.json

With exact geometry and albedo the light of each face follows by least squares; its mean and covariance over the faces
and their mirror images are the prior. People of odd number are learned from. For those of even number, albedo and
light are then estimated together, and the table shows how much lighter than the truth the skin comes out, by class of
the individual typology angle (Chardon et al. 1991) of the true skin.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor

import morphable
from morphable_reconstruct.colors.estimate import LUMINANCE, SMALLEST_LEVEL, LightPrior, estimate_colors
from morphable_reconstruct.colors.observe import Observed, observe
from morphable_reconstruct.colors.points import ColorPoints, color_points
from morphable_render.lighting import AMBIENT, sh_basis
from morphable_synth.datasets.shards import read_shard

MIN_VISIBLE = 0.85
RIDGE = 0.02
"""Weight of small coefficients against the mean squared error of a face."""
ROUNDS, SCALE = 6, 0.1
MIRROR = torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0])
"""Signs of the nine functions on the mirror image of a face."""
SHEEN_RIDGE = 2.0
ALONE = torch.tensor([AMBIENT, *[0.0] * 9])
"""Ambient light without sheen, toward which the ridge pulls."""
LEVEL_SHARE = 0.1
"""Share of the standard deviation of the light's level that the prior keeps. With all of it the likeliest skin lies
between the true tone and the mean; with less, that bias falls and an over-exposed photograph lightens the skin more."""
SHEEN_SHARE = 0.1
"""Share of the sheen's standard deviation that is kept. With all of it the estimated sheen differs from the true one as
the skin's tone does."""
SHRINKAGE = 0.1
"""Share of its diagonal in the covariance, so that some hundreds of faces give a sound inverse."""
TONES = (("dark", -30), ("brown", 10), ("tan", 28), ("intermediate", 41), ("light", 55), ("very light", 91))
"""Classes of the individual typology angle, and the angle in degrees up to which each reaches."""


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """Learn the distribution of light on faces."""

    shards: Path
    """Folder of single synthetic faces."""
    out: Path | None = None
    """File for the prior."""


@dataclass(frozen=True)
class Truth:
    """One synthetic face."""

    observed: Observed
    albedo: Tensor


def read_faces(folder: Path, model: morphable.MorphableModel) -> Iterator[Truth]:
    """Read the faces whose albedo is labeled and that little hides."""
    points = color_points(model)
    for path in sorted(folder.glob("[!.]*.tar")):  # names with a dot are of shards that are being written
        for sample in read_shard(path):
            labels = {name: torch.from_numpy(np.asarray(values)) for name, values in sample.labels.items()}
            rows, cols = sample.image.shape[:2]
            for face in range(len(labels["identity"])):
                if not labels["albedo_valid"][face] or labels["visible_share"][face] < MIN_VISIBLE:
                    continue
                observed = observe(
                    sample.image,
                    points,
                    identity=labels["identity"][face, None],
                    expression=labels["expression"][face, None],
                    rotation_head=labels["rotation_head"][face, None],
                    translation_m=labels["translation_m"][face, None],
                    focal_px=float(labels["focal_px"]),
                    principal_px=(cols / 2, rows / 2),
                )
                yield Truth(observed, labels["albedo"][face])


def light_of(face: Truth, points: ColorPoints) -> Tensor:
    """The light and sheen (30) that explain a face with its true albedo."""
    albedo = points.mean_albedo + torch.einsum("k,kpc->pc", face.albedo, points.albedo_modes)
    functions, seen = sh_basis(face.observed.normals[0]), face.observed.visible[0]
    weight, found = seen, torch.zeros(3, 10)
    found[:, 0] = AMBIENT
    for _ in range(ROUNDS):
        for channel in range(3):
            rows = torch.cat([functions * albedo[:, channel, None], torch.ones(len(functions), 1)], dim=1)
            ridge = torch.diag(torch.tensor([RIDGE] * 9 + [SHEEN_RIDGE]))
            error = face.observed.rgb[0, :, channel] - rows @ ALONE
            normal = (rows * weight[:, None]).T @ rows + ridge
            found[channel] = ALONE + torch.linalg.solve(normal, (rows * weight[:, None]).T @ error)
        error = albedo * (functions @ found[:, :9].T) + found[:, 9] - face.observed.rgb[0]
        weight = seen * (1 + error.square().mean(-1) / SCALE**2).pow(-2)
    return torch.cat([found[:, :9].flatten(), found[:, 9]])


def learn(lights: Tensor) -> LightPrior:
    """Distribution over faces and their mirror images, with a narrower spread of the light's level."""
    front = sh_basis(torch.tensor([0.0, 0.0, 1.0]))
    facing = torch.cat([(torch.tensor(LUMINANCE)[:, None] * front).flatten(), torch.zeros(3)])
    level = lights @ facing
    patterns = lights / level.clamp(min=SMALLEST_LEVEL)[:, None]
    both = torch.cat([patterns, patterns * torch.cat([MIRROR.repeat(3), torch.ones(3)])]).double()
    mean, covariance = both.mean(0), both.T.cov()
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * torch.diag(covariance.diag())
    free = covariance + torch.outer(mean, mean)  # the level has a distribution of its own
    narrow = torch.cat([torch.ones(27), torch.full((3,), 1 / SHEEN_SHARE)]).double()
    precision = torch.linalg.inv(free) * torch.outer(narrow, narrow)
    spread = LEVEL_SHARE * float(level.std())
    return LightPrior(mean.float(), precision.float(), float(level.mean()), spread)


def typology_angle(srgb: Tensor) -> float:
    """Individual typology angle of a color, in degrees."""
    linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055).clamp(min=0) ** 2.4).double()
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = torch.tensor(matrix).double() @ linear / torch.tensor([0.9505, 1.0, 1.089]).double()
    cube = torch.where(xyz > 216 / 24389, xyz.clamp(min=1e-9) ** (1 / 3), (841 / 108) * xyz + 4 / 29)
    lightness, yellow = 116 * cube[1] - 16, 200 * (cube[1] - cube[2])
    return float(torch.rad2deg(torch.atan2(lightness - 50, yellow)))


def print_bias(faces: list[Truth], points: ColorPoints, prior: LightPrior, skin: Tensor) -> None:
    """Estimate albedo and light of faces and print the bias of their skin's luminance by tone."""
    rows = []
    for face in faces:
        seen = face.observed
        found = estimate_colors(seen.rgb, seen.visible, seen.normals, points.mean_albedo, points.albedo_modes, prior)
        true, mine = (
            (points.mean_albedo + torch.einsum("k,kpc->pc", a, points.albedo_modes))[skin].mean(0)
            for a in (face.albedo, found.albedo[0])
        )
        rows.append(
            (typology_angle(true), float(true @ torch.tensor(LUMINANCE)), float(mine @ torch.tensor(LUMINANCE)))
        )
    table = np.array(rows)
    print("| skin | people | true luminance | estimated less true: mean | its size |\n|---|---|---|---|---|")
    low = -180.0
    for name, high in TONES:
        part = table[(table[:, 0] > low) & (table[:, 0] <= high)]
        low = high
        if len(part):
            off = part[:, 2] - part[:, 1]
            print(f"| {name} | {len(part)} | {part[:, 1].mean():.2f} | {off.mean():+.3f} | {np.abs(off).mean():.3f} |")


def main() -> None:
    """Learn, write, check."""
    config = tyro.cli(PriorConfig, description=__doc__)
    torch.set_num_threads(1)
    model = morphable.load_model("open")
    points = color_points(model)
    faces = list(read_faces(config.shards, model))
    prior = learn(torch.stack([light_of(face, points) for face in faces[::2]]))
    print(f"{len(faces[::2])} people to learn from, {len(faces[1::2])} to check\n")
    if config.out is not None:
        content = {
            "made_by": "packages/reconstruct/tools/learn_light_prior.py",
            "people": len(faces[::2]),
            "level": round(prior.level, 6),
            "level_sd": round(prior.level_sd, 6),
            "mean": np.round(prior.mean.double().numpy(), 6).tolist(),
            "precision": np.round(prior.precision.double().numpy(), 4).tolist(),
        }
        config.out.write_text(json.dumps(content) + "\n")
    skin = points.part == model.part_names.index("skin")
    print_bias(faces[1::2], points, prior, skin)


if __name__ == "__main__":
    main()
