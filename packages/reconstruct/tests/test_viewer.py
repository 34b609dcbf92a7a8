"""The viewer's page in a headless browser: upload, 3D scene, sliders, downloads."""

import json
import shutil
import sys
import time

import numpy as np
import pytest
from PIL import Image
from stand_ins import DotDetector, dotted

from morphable_reconstruct.commands.entry import main
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.viewer.options import ViewConfig
from morphable_reconstruct.viewer.sliders import expression_sliders

TIMEOUT_S = 40.0


def wait_for(condition, what):
    """Poll until something truthy comes back."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.1)
    raise AssertionError(f"never saw {what}")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    chrome, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chrome and driver):
        pytest.skip("Chromium and its driver are not installed (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chrome
    flags = ["headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1400,900"]
    for flag in [*flags, "use-angle=swiftshader", "enable-unsafe-swiftshader"]:
        options.add_argument(f"--{flag}")
    folder = tmp_path_factory.mktemp("downloads")
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    window.downloads = folder
    yield window
    window.quit()


@pytest.fixture(scope="module")
def page(browser):
    pytest.importorskip("viser")
    from stand_ins import toy_model

    from morphable_reconstruct.viewer.page import start_page

    settings = ReconstructConfig(min_score=0.4, size_px=320)
    server = start_page(ViewConfig(port=8191), Reconstructor(DotDetector(), toy_model(), config=settings))
    assert server.get_host() == "127.0.0.1"
    browser.get(f"http://127.0.0.1:{server.get_port()}")
    yield browser
    server.stop()


def text(page):
    return page.find_element("tag name", "body").text


def click(page, label):
    page.find_element("xpath", f"//*[normalize-space(text())='{label}']").click()


def upload(page, path):
    wait_for(lambda: page.find_elements("css selector", "input[type=file]"), "the upload button")[0].send_keys(
        str(path)
    )


def seen(page):
    """Pixels of the 3D view, left of the panel and below the notices."""
    import io

    picture = np.asarray(Image.open(io.BytesIO(page.get_screenshot_as_png())).convert("RGB"))
    return picture[160:, :990].astype(int)


@pytest.mark.slow
def test_a_photograph_is_uploaded_seen_changed_and_downloaded(page, tmp_path):
    Image.fromarray(dotted((240, 320), [(80, 100), (220, 140)], dot_px=16)).save(tmp_path / "dots.png")
    upload(page, tmp_path / "dots.png")
    wait_for(lambda: "dots.png: 2 faces found" in text(page), "the number of faces")
    wait_for(lambda: (seen(page)[..., 1] > seen(page)[..., 0] + 60).sum() > 200, "the green dots on the 3D faces")
    wait_for(lambda: page.find_elements("css selector", "img"), "the photograph in the panel")

    before = seen(page)
    click(page, "right")
    wait_for(lambda: np.abs(seen(page) - before).max() > 60, "another view")
    click(page, "front")
    click(page, "Jaw")
    wait_for(lambda: "Jaw open" in text(page), "a slider per expression")

    click(page, "GLB")
    glb = wait_for(lambda: list(page.downloads.glob("dots.glb")), "the GLB file")[0]
    wait_for(lambda: glb.stat().st_size > 1000, "its content")
    assert glb.read_bytes()[:4] == b"glTF"
    click(page, "JSON")
    record = wait_for(lambda: list(page.downloads.glob("dots.json")), "the JSON file")[0]
    assert len(json.loads(record.read_text())["faces"]) == 2
    click(page, "OBJ")
    wait_for(lambda: list(page.downloads.glob("dots.zip")), "the OBJ archive")


@pytest.mark.slow
def test_pictures_without_faces_and_no_pictures(page, tmp_path):
    Image.fromarray(dotted((100, 100), [])).save(tmp_path / "empty.png")
    upload(page, tmp_path / "empty.png")
    wait_for(lambda: "empty.png: no faces found" in text(page), "the empty result")
    (tmp_path / "text.png").write_text("no picture")
    upload(page, tmp_path / "text.png")
    wait_for(lambda: "text.png cannot be shown: image must be a picture" in text(page), "the error")


def test_sliders_stand_in_groups_with_whole_names_and_move_both_sides_or_one():
    names = ("browDownLeft", "browDownRight", "jawLeft", "jawRight", "mouthSmileLeft", "noseSneerRight", "eyeWideLeft")
    both = expression_sliders(names, symmetric=True)
    assert [slider.group for slider in both] == ["Brows", "Eyes", "Mouth", "Jaw", "Jaw", "Cheeks, nose, neck"]
    assert both[0].label == "Brow down"
    assert both[0].names == ("browDownLeft", "browDownRight")
    # a side without its counterpart stays alone, and a jaw that moves aside is no pair
    assert [slider.label for slider in both[1:]] == [
        *("Eye wide left", "Mouth smile left", "Jaw left", "Jaw right", "Nose sneer right"),
    ]
    single = expression_sliders(names, symmetric=False)
    assert sorted(name for slider in single for name in slider.names) == sorted(names)
    assert all(len(slider.names) == 1 for slider in single)


def test_faces_of_the_page_are_valid_glb(model):
    from test_exports import make_scene

    from morphable_reconstruct.viewer.meshes import face_glb, surface_texture

    scene = make_scene(model, count=1)
    textured = face_glb(scene[0], surface_texture(scene, 0, "reflectance"), unlit=True)
    document = json.loads(textured[20 : 20 + int.from_bytes(textured[12:16], "little")])
    assert document["extensionsUsed"] == ["KHR_materials_unlit"]
    assert document["materials"][0]["extensions"] == {"KHR_materials_unlit": {}}
    position = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    vertices = scene[0].vertices_cam_m
    np.testing.assert_allclose(position["min"], vertices.min(0), atol=1e-6)
    np.testing.assert_allclose(position["max"], vertices.max(0), atol=1e-6)
    assert surface_texture(scene, 0, "shape") is None
    assert b"image" not in face_glb(scene[0], None, unlit=False)


def test_without_viser_the_command_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "viser", None)
    assert main(["view"]) == 1
    assert "viser is not installed; run `pip install 'viser>=1.0'`" in capsys.readouterr().err


def test_without_fastapi_the_command_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert main(["serve"]) == 1
    assert "fastapi is not installed; run `pip install 'fastapi>=0.115' " in capsys.readouterr().err
