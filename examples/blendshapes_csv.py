"""Write the expressions and head poses of a video, frame by frame.

python examples/blendshapes_csv.py CLIP OUT.csv

`reconstruct CLIP --save csv` writes the same and more. Needs PyAV (`pip install av`).
"""

import csv
import sys
from pathlib import Path

from morphable_reconstruct import Reconstructor, track

clip, target = sys.argv[1:]
with Path(target).open("w", newline="") as file:
    table = csv.writer(file)
    for frame in track(clip, Reconstructor("mobile")):
        for face in frame.scene:
            if file.tell() == 0:
                table.writerow(["time_s", "track_id", *face.expressions, "pitch_deg", "yaw_deg", "roll_deg"])
            row = [*face.expressions.values(), *face.angles.degrees.values()]
            table.writerow([f"{frame.time_s:.3f}", face.track_id, *(f"{value:.4f}" for value in row)])
