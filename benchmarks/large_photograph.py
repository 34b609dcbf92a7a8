"""Time and peak memory of one very large photograph with overlay, JSON, GLB and depth.

python benchmarks/large_photograph.py [--megapixels 100] [--picture PICTURE] [--save overlay,json,glb,depth]
"""

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
KILOBYTES_PER_MB = 1024


def main() -> int:
    """Enlarge a picture to the size asked for, reconstruct it in a process of its own, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, default=100.0)
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "synth_faces.png")
    parser.add_argument("--save", default="overlay,json,glb,depth")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jpg"
        with Image.open(options.picture) as picture:
            scale = math.sqrt(options.megapixels * 1e6 / (picture.width * picture.height))
            size = (round(picture.width * scale), round(picture.height * scale))
            picture.convert("RGB").resize(size, Image.Resampling.BILINEAR).save(path, quality=90)
        start = time.perf_counter()
        command = [sys.executable, "-m", "morphable_reconstruct", str(path), "--out", folder, "--save", options.save]
        done = subprocess.run(command, check=False)
        seconds = time.perf_counter() - start
        peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / KILOBYTES_PER_MB
    print(f"{size[0]}x{size[1]}, {options.save}: {seconds:.1f} s, peak {peak_mb:.0f} MiB, status {done.returncode}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
