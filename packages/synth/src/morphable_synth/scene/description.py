"""What a scene is made of: the configuration, and the description that sampling writes and rendering reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

FACE_HEIGHT_M = 0.14
"""Side of the 68-point box of an average face."""
LIGHTEST_FACE_PX, LARGEST_FACE_PX = 12.0, 420.0


@dataclass(frozen=True, kw_only=True)
class SceneConfig:
    """What kind of pictures are made.

    >>> SceneConfig(layout="single", size_px=256).max_faces
    10
    """

    level: Literal["procedural", "makehuman"] = "procedural"
    """`procedural` needs this package alone; `makehuman` reads photographic skins, hair, clothes from `assets`."""
    assets: Path | None = None
    """Folder with `makehuman/`, `hdri/`, `backgrounds/`; required by, and only used at, the `makehuman` level."""
    cc0_only: bool = False
    """Use CC0 assets only: no background photographs, no assets that ask for credit."""
    layout: Literal["single", "group"] = "group"
    """`single`: one centered face; `group`: 1 to `max_faces` people anywhere."""
    size_px: int = 512
    """Side of the square picture."""
    max_faces: int = 10
    """Most people in a group."""
    min_face_px: float = 16.0
    """Smallest side of a face's 68-point box in a group."""
    max_face_px: float = 400.0
    """Largest side of a face's 68-point box."""
    lens: tuple[float, float] = (1.0, 1.0)
    """Shortest and longest focal length of the scenes' cameras, in those of the project's; drawn evenly in its
    logarithm. Behind a longer lens people stand farther away, as large in the picture, with less perspective in
    their faces."""
    profile_share: float = 0.2
    """Share of people whose head is turned aside by 40 to 93 degrees; of the others five eighths look about ahead."""
    photographic_skin: float = 0.95
    """Share of people with a photographic skin; the others wear the open model's albedo."""
    hdr_light: bool = True
    """Light and background from HDR maps; otherwise made-up lamps."""
    camera_effects: bool = True
    """Blur, noise, JPEG, exposure, color cast, low resolution."""
    occluders: bool = True
    """Glasses, hats, face masks, hands and objects before faces."""
    roll_share: float = 0.0
    """Share of scenes whose camera is turned about its axis, by any angle."""
    cut_share: float = 0.0
    """Share of people of `single` scenes whose face is cut by the picture's border or larger than the picture."""
    min_visible: float = 0.2
    """Faces of which less than this share of the skin shows are not labeled."""

    def __post_init__(self) -> None:
        if self.level not in ("procedural", "makehuman"):
            raise ValueError(f"level must be procedural or makehuman, got {self.level!r}")
        if (self.level == "makehuman") != (self.assets is not None):
            raise ValueError(
                f"assets must be given for level makehuman and for no other, got {self.assets} for {self.level}; "
                "`morphable-synth check-assets DIR` checks a folder"
            )
        if self.layout not in ("single", "group"):
            raise ValueError(f"layout must be single or group, got {self.layout!r}")
        if self.size_px < 64 or self.size_px % 32:
            raise ValueError(f"size_px must be a multiple of 32 of at least 64, got {self.size_px}")
        if self.max_faces < 1:
            raise ValueError(f"max_faces must be at least 1, got {self.max_faces}")
        if not LIGHTEST_FACE_PX <= self.min_face_px <= self.max_face_px <= LARGEST_FACE_PX:
            raise ValueError(
                f"min_face_px and max_face_px must satisfy {LIGHTEST_FACE_PX} <= min <= max <= {LARGEST_FACE_PX}, "
                f"got {self.min_face_px} and {self.max_face_px}"
            )
        if not 0.0 < self.lens[0] <= self.lens[1]:
            raise ValueError(f"lens must be two increasing positive numbers, got {self.lens}")
        for name in ("profile_share", "photographic_skin", "roll_share", "cut_share", "min_visible"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")


@dataclass(frozen=True)
class Wearing:
    """What a person wears, by style name ("" for none), with linear colors."""

    hair: str = ""
    hair_color: tuple[float, float, float] = (0.02, 0.015, 0.01)
    beard: str = ""
    eyebrows: str = ""
    eyelashes: str = ""
    iris: str = ""
    teeth: str = ""
    teeth_shade: float = 1.0
    clothes: str = ""
    cloth_color: tuple[float, float, float] | None = None
    """Replaces the color of the clothes' picture; None leaves it."""
    glasses: str = ""
    lens_tint: float = 0.0
    """0 clear glass to 1 black sunglasses."""
    hat: str = ""
    hat_color: tuple[float, float, float] = (0.1, 0.1, 0.1)
    mask_color: tuple[float, float, float] | None = None
    """A face mask over mouth and nose; None for none."""
    mask_picture: str = ""


@dataclass(frozen=True)
class Skin:
    """How a photographic skin is used; see `morphable_synth.assets.recoloring`."""

    base: str
    """File stem of the diffuse map; "" for the open model's albedo."""
    detail: str
    """File stem of the map that lends its fine structure."""
    detail_strength: float
    tone: tuple[float, float, float]
    """Mean linear color of the face."""
    contrast: float
    gloss: float
    """Reflectance at normal incidence; 0.028 is clean skin."""
    roughness: float
    """Level of the highlight, 1 (oily) to 2 (dry)."""


@dataclass(frozen=True)
class Complexion:
    """What colors a face beside its skin: factors on linear light at their full strength, 1 for none."""

    lips: tuple[float, float, float] = (1.0, 1.0, 1.0)
    upper_lids: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Make-up of the upper lids."""
    stubble: float = 0.0
    """0 clean to 1 dark."""
    blush: float = 0.0
    """Redness of cheeks and nose; negative values are paler."""
    eye_rings: float = 0.0
    """Darkness below the eyes."""
    freckles: float = 0.0
    freckles_seed: int = 0


@dataclass(frozen=True)
class Person:
    """One person of a scene."""

    identity: Float[np.ndarray, " id"]
    expression: Float[np.ndarray, " expr"]
    albedo: Float[np.ndarray, " alb"]
    """Drawn only where `skin.base` is empty."""
    rotation_head: Float[np.ndarray, "3 3"]
    rotation_body: Float[np.ndarray, "3 3"]
    translation_m: Float[np.ndarray, "3"]
    face_px: float
    """Intended side of the 68-point box."""
    skin: Skin
    wearing: Wearing
    complexion: Complexion = Complexion()


@dataclass(frozen=True)
class LightChoice:
    """Light and background of a scene."""

    environment: str
    """Stem of an HDR map; "" for made-up lamps."""
    env_from_cam: Float[np.ndarray, "3 3"]
    exposure_ev: float
    """Stops above a well-exposed face."""
    key_gain: float
    """Factor on the strongest lights."""
    ambient: float
    """Even light from everywhere added, relative to the whole."""
    tint: tuple[float, float, float]
    shoulder: float
    """Linear value at which highlights begin to roll off."""
    background: str
    """File name of a photograph, "environment", or "" for a smooth made-up one."""
    background_blur_px: float


@dataclass(frozen=True)
class Effects:
    """Camera effects, applied in this order; see `morphable_synth.rendering.effects`."""

    motion_px: float = 0.0
    motion_angle_rad: float = 0.0
    blur_px: float = 0.0
    reduce: float = 1.0
    """The picture is shrunk by this factor and enlarged again."""
    contrast: float = 1.0
    gamma: float = 1.0
    saturation: float = 1.0
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    vignette: float = 0.0
    shot_noise: float = 0.0
    read_noise: float = 0.0
    sharpen: float = 0.0
    jpeg_quality: int = 0
    """0: not compressed."""


@dataclass(frozen=True)
class Blob:
    """A thing before a face: a domed sheet of wavy outline at a depth."""

    center_px: tuple[float, float]
    radius_px: tuple[float, float]
    angle_rad: float
    color: tuple[float, float, float]
    depth_m: float
    half_size_px: float
    """Half the side of the picture that `center_px` refers to."""
    seed: int


@dataclass(frozen=True)
class Hand:
    """A hand with its forearm, before a face or beside it."""

    center_m: tuple[float, float, float]
    """Middle of the hand, camera frame."""
    rotation: Float[np.ndarray, "3 3"]
    """Camera frame from the hand's: fingers along +y, the palm toward +z."""
    curl: float
    """Turn of the fingertips toward the palm, radians."""
    left: bool
    owner: int
    """Person of the scene whose skin it has and with whom it is lit."""
    tone: tuple[float, float, float]
    """Linear color where no photographic skin is at hand."""
    sleeve: tuple[float, float, float] | None = None
    """Linear color of a sleeve; None for a bare arm."""


@dataclass(frozen=True)
class Scene:
    """Everything a picture is rendered from; a pure function of configuration, seed and index."""

    config: SceneConfig
    seed: int
    index: int
    focal_px: float
    """Focal length of the camera."""
    people: tuple[Person, ...]
    light: LightChoice
    effects: Effects
    blobs: tuple[Blob, ...]
    hands: tuple[Hand, ...] = ()
