"""Sources and licences of scenes, and the version of the code."""

import json
from pathlib import Path

import pytest

from morphable_synth import SceneConfig
from morphable_synth.datasets.provenance import Source, code_version, license_of, sources_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Empty files under the names that the kinds of assets have; licences follow from paths alone."""
    for name in ("makehuman/skins/a/a.png", "hdri/street_1k.hdr", "backgrounds/kodak_01.png", "face_masks/cloth.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    return tmp_path


def _licenses(folder: Path, **settings: object) -> dict[str, str]:
    found = sources_of(SceneConfig(**{"level": "makehuman", "assets": folder, **settings}))
    return {source.name: source.license for source in found}


def test_procedural_scenes_are_made_of_the_open_model_alone():
    sources = sources_of(SceneConfig())
    assert [source.license for source in sources] == ["CC0-1.0"]
    assert license_of(sources) == "CC0-1.0"


def test_settings_decide_which_sources_count(folder: Path):
    everything = _licenses(folder)
    assert everything["Poly Haven environment maps"] == "CC0-1.0"
    assert everything["Kodak photographs"] == "unrestricted usage (Kodak)"
    assert everything["face mask cut-outs (MaskTheFace)"] == "MIT"
    assert "Poly Haven environment maps" not in _licenses(folder, hdr_light=False)
    assert "face mask cut-outs (MaskTheFace)" not in _licenses(folder, occluders=False)
    assert set(_licenses(folder, cc0_only=True).values()) == {"CC0-1.0"}


def test_own_files_have_the_licence_their_folder_states_or_none(folder: Path):
    (folder / "backgrounds" / "mine.jpg").touch()
    assert _licenses(folder)["other files in backgrounds"] == "not stated"
    entry = {"pattern": "backgrounds/mine*", "name": "my photographs", "license": "all rights mine"}
    (folder / "licenses.json").write_text(json.dumps([entry]))
    found = _licenses(folder)
    assert found["my photographs"] == "all rights mine"
    assert "other files in backgrounds" not in found


def test_a_malformed_list_is_refused(folder: Path):
    (folder / "licenses.json").write_text('[{"pattern": "*"}]')
    with pytest.raises(ValueError, match=r"licenses must be a list of .*licenses\.json"):
        _licenses(folder)


def test_licences_are_joined_once():
    sources = (Source("a", "MIT"), Source("b", "CC0-1.0"), Source("c", "MIT"))
    assert license_of(sources) == "MIT; CC0-1.0"


def test_no_public_asset_is_without_licence(assets: Path):
    everything = _licenses(assets)
    assert "not stated" not in everything.values()
    assert {"CC-BY", "CC-BY-SA-4.0"} <= set(everything.values())
    assert set(_licenses(assets, cc0_only=True).values()) == {"CC0-1.0"}


def test_code_version_is_stable_and_names_the_release():
    assert code_version() == code_version()
    assert code_version().startswith("0.1.0+")
