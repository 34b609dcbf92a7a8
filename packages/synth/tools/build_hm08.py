"""Rebuild `src/morphable_synth/data/hm08.safetensors`: the rest of MakeHuman's base mesh around the open model's head.

Needs `pip install './packages/morphable[build]'` and the repository (it samples people exactly as the open model's
builder does). Each sampled person is aligned to the open model and projected on its identity basis; the other hm08
vertices (body, clothes helper, lashes, eyes, hair helper) are then regressed on the identity coefficients. Arms are
lowered first.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

import morphable
from morphable.geometry import fit_similarity

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "packages/morphable/tools"))
from open_model import assemble, parts, people, source, topology  # noqa: E402

from morphable_synth.assets.hm08 import fingerprint  # noqa: E402

OUT = Path(__file__).parents[1] / "src/morphable_synth/data/hm08.safetensors"
SEED, PEOPLE, CHUNK = 20261121, 600, 30
RIDGE = 0.05
ARM_TURN_RAD = 0.62
"""How far the arms of the rest pose are lowered."""
BODY_DEPTH_M = 2.0
"""Body kept below the eyes' height: all of it."""
BODY_RANK = 12
EXACT = (
    "helper-l-eye", "helper-r-eye", "helper-l-eyelashes-1", "helper-l-eyelashes-2", "helper-r-eyelashes-1",
    "helper-r-eyelashes-2", "helper-upper-teeth", "helper-lower-teeth", "helper-hair",
)  # fmt: skip
NECK_BONES = {"head": 1.0, "neck03": 0.8, "neck02": 0.45, "neck01": 0.15}


def main() -> int:
    """Build the file."""
    model = morphable.load_model("open").double()
    base = source.load_base_mesh()
    selected = topology.select_head(base)
    head = selected.base_index
    groups = _groups()
    people_xyz, phenotypes = _sample(base)
    aligned, identity = _align(people_xyz, head, model)
    neutral_y = aligned.mean(0)[:, 1]
    exact = np.setdiff1d(np.concatenate([groups[name] for name in EXACT]), head)
    body = np.concatenate([groups["body"], groups["helper-tights"], groups["helper-skirt"]])
    body = np.setdiff1d(body[neutral_y[body] > neutral_y[groups["helper-l-eye"]].mean() - BODY_DEPTH_M], head)
    tensors = _fit(aligned, identity, exact, body) | _expressions(base, model, head, exact, groups, aligned, people_xyz)
    neck = _neck_weights(base)
    tensors |= _mesh(base, head, body, groups) | {
        "neck_weight": neck,
        "head_neck_weight": _decoded_neck(model, neck[head]),
    }
    anatomy = assemble.make_anatomy(base, selected, parts.find_masks(base, selected))
    tensors["head_uv"] = assemble._full_uv(base, anatomy)[1].astype(np.float32)
    design = np.hstack([np.ones((len(identity), 1)), identity])
    slopes = np.linalg.lstsq(design.T @ design + np.eye(design.shape[1]), design.T @ phenotypes, rcond=None)[0]
    tensors["phenotype"] = slopes.astype(np.float32)
    tensors["open_fingerprint"] = fingerprint(model)
    tensors["head_index"], tensors["exact_index"], tensors["body_index"] = (
        x.astype(np.int32) for x in (head, exact, body)
    )
    save_file(
        {k: np.ascontiguousarray(v) for k, v in tensors.items()}, OUT, {"format_version": "1", "license": "CC0-1.0"}
    )
    print(f"{OUT.name}: {OUT.stat().st_size / 1e6:.2f} MB")
    return 0


def _groups() -> dict[str, np.ndarray]:
    """Vertices of each group of base.obj."""
    found: dict[str, set[int]] = {}
    name = ""
    for line in (source.data_folder() / "mpfb2/3dobjs/base.obj").read_text().splitlines():
        words = line.split()
        if words and words[0] == "g":
            name = words[1]
        elif words and words[0] == "f":
            found.setdefault(name, set()).update(int(corner.split("/")[0]) - 1 for corner in words[1:])
    return {name: np.array(sorted(vertices)) for name, vertices in found.items()}


def _sample(base: "source.BaseMesh") -> tuple[np.ndarray, np.ndarray]:
    """Whole bodies with lowered arms, and (sex, age, african, asian) of each."""
    rng = np.random.default_rng(SEED)
    everything = np.arange(len(base.vertices))
    xyz, kept = [], []
    for _ in range(PEOPLE // CHUNK):
        state = rng.bit_generator.state
        coefficients = people.sample_coefficients(base, CHUNK, rng)
        replay = np.random.default_rng(SEED)
        replay.bit_generator.state = state
        drawn = people._sample_phenotypes(CHUNK, replay)
        kept.append(np.stack([drawn[name] for name in ("gender", "age", "african", "asian")], -1))
        people_xyz = (
            base.vertices
            + base.blend(coefficients, everything)
            + people.sample_head_forms(base, CHUNK, rng, everything)
        )
        xyz.append(_lower_arms(base, people_xyz).astype(np.float32))
    return np.concatenate(xyz), np.concatenate(kept)


def _bone_weight(base: "source.BaseMesh", scores: dict[str, float]) -> np.ndarray:
    """Per vertex the skinning weights of the named bones, times their scores."""
    labels = base.model.bone_labels
    score = np.array([scores.get(label, 0.0) for label in labels])
    return (base.model.vertex_bone_weights.numpy() * score[base.model.vertex_bone_indices.numpy()]).sum(1)


def _descendants(base: "source.BaseMesh", root: str) -> dict[str, float]:
    labels, parents = base.model.bone_labels, base.model.bone_parents
    inside = {root}
    for label, parent in zip(labels, parents, strict=True):
        if parent >= 0 and labels[parent] in inside:
            inside.add(label)
    return dict.fromkeys(inside, 1.0)


def _lower_arms(base: "source.BaseMesh", xyz: np.ndarray) -> np.ndarray:
    out = xyz.copy()
    for side, sign in (("L", -1.0), ("R", 1.0)):
        weight = _bone_weight(base, _descendants(base, f"upperarm01.{side}"))
        index = base.model.bone_labels.index(f"upperarm01.{side}")
        joint = source._model_frame(base.model.template_bone_heads.numpy())[index]
        near = np.argsort(np.linalg.norm(base.vertices[:13380] - joint, axis=1))[:40]
        center = joint + (xyz[:, near] - base.vertices[near]).mean(1)
        angle = weight * ARM_TURN_RAD * sign
        offset = xyz - center[:, None]
        cos, sin = np.cos(angle), np.sin(angle)
        turned = np.stack(
            [cos * offset[..., 0] - sin * offset[..., 1], sin * offset[..., 0] + cos * offset[..., 1]], -1
        )
        out[..., :2] += np.where(weight[:, None] > 0, turned - offset[..., :2], 0.0)
    return out


def _align(xyz: np.ndarray, head: np.ndarray, model: "morphable.MorphableModel") -> tuple[np.ndarray, np.ndarray]:
    """Bring every person into the model frame (similarity to its projection) and return the identity coefficients."""
    mean = model.mean.numpy()[: len(head)]
    basis = model.identity_basis.numpy()[:, : len(head)].reshape(model.num_identity, -1)
    gram = basis @ basis.T + RIDGE * np.trace(basis @ basis.T) / len(basis) * np.eye(len(basis)) / len(basis)
    aligned, identity = [], []
    for person in xyz.astype(np.float64):
        target = mean
        for _ in range(4):
            fit = fit_similarity(torch.from_numpy(person[head]), torch.from_numpy(target))
            scale, rotation, shift = (part.numpy() for part in fit)
            placed = scale * person @ rotation.T + shift
            coefficients = np.linalg.solve(gram, basis @ (placed[head] - mean).ravel())
            target = mean + (coefficients @ basis).reshape(mean.shape)
        aligned.append(placed)
        identity.append(coefficients)
    rest = np.array(aligned)
    fit = mean + (np.array(identity) @ basis).reshape(len(rest), *mean.shape)
    print(f"head residual {np.sqrt(((rest[:, head] - fit) ** 2).sum(-1).mean()) * 1e3:.2f} mm RMS")
    return rest, np.array(identity)


def _fit(aligned: np.ndarray, identity: np.ndarray, exact: np.ndarray, body: np.ndarray) -> dict[str, np.ndarray]:
    """Affine maps from identity coefficients to the other vertices; the body's is of low rank."""
    out = {}
    for name, index in (("exact", exact), ("body", body)):
        target = aligned[:, index].reshape(len(aligned), -1)
        design = np.hstack([np.ones((len(identity), 1)), identity])
        solution = np.linalg.solve(
            design.T @ design + 2.0 * np.diag([0.0] + [1.0] * identity.shape[1]), design.T @ target
        )
        out[f"{name}_mean"] = solution[0].reshape(-1, 3).astype(np.float32)
        error = np.sqrt(((design @ solution - target) ** 2).mean() * 3)
        print(f"{name}: {len(index)} vertices, residual {error * 1e3:.2f} mm RMS")
        if name == "exact":
            out["exact_basis"] = solution[1:].reshape(-1, len(index), 3).astype(np.float16)
        else:
            u, s, vt = np.linalg.svd(solution[1:], full_matrices=False)
            out["body_mix"] = (u[:, :BODY_RANK] * s[:BODY_RANK]).astype(np.float32)
            out["body_basis"] = vt[:BODY_RANK].reshape(BODY_RANK, -1, 3).astype(np.float16)
    return out


def _expressions(
    base: "source.BaseMesh",
    model: "morphable.MorphableModel",
    head: np.ndarray,
    exact: np.ndarray,
    groups: dict[str, np.ndarray],
    aligned: np.ndarray,
    xyz: np.ndarray,
) -> dict[str, np.ndarray]:
    """Facial actions of the helper vertices, at the model's size; lashes move with the lids nearest to them."""
    spread = [
        np.linalg.norm(x - x.mean(1, keepdims=True), axis=-1).mean() for x in (aligned[:50, :4000], xyz[:50, :4000])
    ]
    size = spread[0] / spread[1]
    labels = list(base.model.blendshape_labels)
    basis = np.zeros((model.num_expression, len(exact), 3))
    actions = {
        mode: labels.index(f"facial_action:{name}")
        for mode, name in enumerate(model.expression_names)
        if f"facial_action:{name}" in labels
    }  # the other units are made by the open model's builder; here they move lashes only
    for mode, row in actions.items():
        basis[mode] = base.blend(np.ones((1, 1)), exact, [row])[0] * size
    lashes = np.flatnonzero(np.isin(exact, np.concatenate([groups[name] for name in EXACT if "lashes" in name])))
    distance, nearest = cKDTree(aligned[:, head].mean(0)).query(aligned[:, exact[lashes]].mean(0), 3)
    weight = 1 / np.maximum(distance, 1e-5)
    weight /= weight.sum(1, keepdims=True)
    lids = np.zeros((model.num_expression, len(head), 3))
    for mode, row in actions.items():
        lids[mode] = base.blend(np.ones((1, 1)), head, [row])[0] * size
    corrected = model.expression_basis.numpy()[:, : len(head)] - lids  # the open model closes its lids exactly
    basis[:, lashes] += np.einsum("mlkc,lk->mlc", corrected[:, nearest], weight)
    print("modes with helper motion:", int((np.abs(basis).max((1, 2)) > 0).sum()))
    return {"exact_expression": basis.astype(np.float16)}


def _mesh(base: "source.BaseMesh", head: np.ndarray, body: np.ndarray, groups: dict) -> dict[str, np.ndarray]:
    """Triangles of the body's skin around the head, in hm08 numbers, with texture coordinates (v down)."""
    skin = np.zeros(len(base.vertices), bool)
    skin[np.intersect1d(body, groups["body"])] = True
    in_head = np.zeros(len(base.vertices), bool)
    in_head[head] = True
    rows = (skin | in_head)[base.quads].all(1) & ~in_head[base.quads].all(1)
    quads, uv = base.quads[rows], base.uv[base.uv_quads[rows]] * [1, -1] + [0, 1]
    split = np.array([[0, 1, 2], [0, 2, 3]])
    return {
        "skin_triangles": quads[:, split].reshape(-1, 3).astype(np.int32),
        "skin_corner_uv": uv[:, split].reshape(-1, 3, 2).astype(np.float32),
    }


def _neck_weights(base: "source.BaseMesh") -> np.ndarray:
    """Per hm08 vertex how far it follows the head (1) rather than the shoulders (0)."""
    children = _descendants(base, "head")
    return np.clip(_bone_weight(base, children | NECK_BONES), 0, 1).astype(np.float16)


def _decoded_neck(model: "morphable.MorphableModel", base_weight: np.ndarray) -> np.ndarray:
    """The same for the decoded face: all of the face itself follows the head."""
    shape = (model.num_vertices, model.mean.shape[0])
    matrix = csr_matrix((model.subdivision_value, model.subdivision_col, model.subdivision_crow), shape)
    weight = matrix @ np.append(base_weight, np.ones(model.mean.shape[0] - len(base_weight)))
    weight[model.region("face").numpy()] = 1.0
    return np.clip(weight, 0, 1).astype(np.float16)


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main())
