"""Measure the 68 points of any system.

python examples/evaluate.py FOLDER

FOLDER holds pictures, `landmarks68.json` with the true points ({"a.jpg": {"landmarks68_px": [[x, y], ...]}}) and
`predictions.json` with the system's ({"images": [{"image": "a.jpg", "size_hw": [480, 640], "faces":
[{"landmarks68_contour_px": [[x, y], ...]}]}]}). Needs `morphable-evalkit` alone.
"""

import sys
from pathlib import Path

from morphable_evalkit.cli import main

folder = Path(sys.argv[1])
predictions, results = str(folder / "predictions.npz"), str(folder / "results.json")
steps = [
    ["convert", "--source", "json", "--input", str(folder / "predictions.json"), "--to", predictions],
    ["check", predictions],
    ["nme", "--preds", predictions, "--dataset", "landmarks68", "--root", str(folder), "--json", results],
]
for step in steps:
    if status := main(step):
        sys.exit(status)
