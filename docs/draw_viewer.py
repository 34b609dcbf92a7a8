"""Screenshot of `reconstruct view` in Chromium, for the documentation.

apt-get install chromium chromium-driver
python docs/draw_viewer.py PHOTOGRAPH --out docs/viewer.png
"""

import base64
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from selenium import webdriver
from selenium.common.exceptions import TimeoutException

from morphable_reconstruct import Reconstructor
from morphable_reconstruct.viewer.options import ViewConfig
from morphable_reconstruct.viewer.page import start_page


@dataclass(frozen=True, kw_only=True)
class ScreenshotConfig:
    """Draw a screenshot of the viewer."""

    photo: tyro.conf.Positional[Path]
    """The photograph."""
    out: Path
    """The PNG file; others with more open folders lie beside it."""
    port: int = 8192
    """Port of the page."""
    size: tuple[int, int] = (1200, 800)
    """Width and height of the window."""
    wait_s: float = 60.0
    """Time for the page to load."""


def main() -> None:
    """Open the page and draw it: as it opens, then with sliders and the photograph's camera."""
    config = tyro.cli(ScreenshotConfig, description=__doc__)
    torch.set_num_threads(1)
    server = start_page(ViewConfig(photo=config.photo, port=config.port), Reconstructor("mobile"))
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    window = "window-size={},{}".format(*config.size)
    for flag in ("headless=new", "no-sandbox", window, "use-angle=swiftshader", "enable-unsafe-swiftshader"):
        options.add_argument(f"--{flag}")
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.get(f"http://127.0.0.1:{config.port}")
        _wait(browser, "found", config.wait_s)
        time.sleep(config.wait_s / 4)  # the mesh follows the text
        _save(browser, config.out, config.wait_s)
        for label in ("Mouth", "show photo camera", "show photograph"):
            for node in browser.find_elements("xpath", f"//*[normalize-space(text())='{label}']")[-1:]:
                browser.execute_script("arguments[0].scrollIntoView(); arguments[0].click()", node)
        time.sleep(config.wait_s / 6)
        _save(browser, config.out.with_stem(f"{config.out.stem}_controls"), config.wait_s)
    finally:
        browser.quit()
        server.stop()


def _save(browser: webdriver.Chrome, path: Path, limit_s: float) -> None:
    """Take a screenshot, again and again if the machine is too slow for the driver's patience."""
    end = time.monotonic() + limit_s
    while True:
        try:
            path.write_bytes(base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", {})["data"]))
            return
        except TimeoutException:
            if time.monotonic() > end:
                raise


def _wait(browser: webdriver.Chrome, text: str, limit_s: float) -> None:
    """Wait until the page shows a text.

    Raises:
        TimeoutError: It never does.
    """
    end = time.monotonic() + limit_s
    while text not in browser.find_element("tag name", "body").text:
        if time.monotonic() > end:
            raise TimeoutError(f"the page must show {text!r} within {limit_s:g} s")
        time.sleep(0.5)


if __name__ == "__main__":
    main()
