"""One video from frames to results, in constant memory."""

import json
import sys
import time
from collections import defaultdict
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from morphable.files import atomic_path, write_bytes
from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.batch.output import LIVELINK_SUFFIX
from morphable_reconstruct.batch.pictures import Outcome, find_done
from morphable_reconstruct.batch.records import Records
from morphable_reconstruct.exports.coefficients import scene_to_dict
from morphable_reconstruct.exports.livelink import livelink_header, livelink_row
from morphable_reconstruct.exports.tables import csv_header, csv_rows
from morphable_reconstruct.photographs.sources import Source
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.reconstructor.stream import map_ahead, read_ahead
from morphable_reconstruct.video.animation import TRACK_SUFFIX, TrackAnimations
from morphable_reconstruct.video.preview import Preview, preview_server
from morphable_reconstruct.video.reading import Losses
from morphable_reconstruct.video.tracking import Tracker
from morphable_reconstruct.video.tracks import TrackedFrame, track
from morphable_reconstruct.video.writing import VideoWriter, video_writer

_SUFFIXES = {"overlay": ".overlay.mp4", "csv": ".csv", "json": ".jsonl"}
"""Suffix of each of `VIDEO_KINDS` that is one file."""
_TRACKED_AHEAD = 2
_DRAWERS = 2
"""Threads that draw overlays."""
_CSV_COLUMNS = ("frame", "time_s", "source_time_s", "track_id")


def run_video(source: Source, reconstructor: Reconstructor, config: RunConfig, records: Records) -> Outcome:
    """Reconstruct, track, smooth and save a video or webcam; Ctrl-C ends a webcam cleanly."""
    start = time.perf_counter()
    try:
        live = source.kind == "webcam"
        done = None if live or config.overwrite else find_done(records, source)
        if done is not None:
            return done
        files, tracks, notes = _save(source, reconstructor, config)
        if not live:
            records.add(source, files, {"score": np.zeros(tracks, dtype=np.float32)})
    except (OSError, ValueError) as error:
        return Outcome(source=source, error=str(error))
    return Outcome(source=source, faces=tracks, seconds=time.perf_counter() - start, files=files, notes=notes)


def _save(
    source: Source, reconstructor: Reconstructor, config: RunConfig
) -> tuple[tuple[str, ...], int, tuple[str, ...]]:
    """Stream the results to files that appear when they are whole; return them, the number of tracks, and notes."""
    tracker = Tracker(max_gap_s=config.video.max_gap_s, max_gap_frames=config.video.max_gap_frames)
    losses, frames = Losses(), 0
    kinds = set(config.save_kinds) - ({"csv"} if config.csv == "livelink" else set())
    files = {kind: f"{source.stem}{suffix}" for kind, suffix in _SUFFIXES.items() if kind in kinds}
    (config.out / source.stem).parent.mkdir(parents=True, exist_ok=True)
    people = _People(config)
    with ExitStack() as stack:
        paths = {kind: stack.enter_context(atomic_path(config.out / name)) for kind, name in files.items()}
        preview = None
        if config.video.preview_port is not None:
            preview = stack.enter_context(preview_server(config.video.preview_port))
            sys.stderr.write(f"preview of {source.name} at {preview.address}\n")
        sinks = _Sinks(stack, paths, source, csv_header(reconstructor.model, _CSV_COLUMNS), preview)
        tracked = track(source, reconstructor, config.video, tracker=tracker, losses=losses)
        try:
            # Decoding, the network, drawing and encoding each have threads of their own.
            with closing(read_ahead(tracked, ahead=_TRACKED_AHEAD)) as ahead:
                for drawn in map_ahead(sinks.draw, ahead, threads=_DRAWERS, ahead=2 * _DRAWERS):
                    sinks.add(drawn)
                    people.add(drawn.frame)
                    frames += 1
        except KeyboardInterrupt:
            if source.kind != "webcam":
                raise
        if frames == 0:
            raise ValueError(f"video must have at least one frame, got none in {source.path}")
        written = people.write(source.stem)
    return (*files.values(), *written), tracker.count, (*losses.lines(), *sinks.notes)


class _People:
    """What is written about each person of a video when all of it was seen: animation, Live Link Face's table."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._animations = TrackAnimations() if "glb" in config.save_kinds else None
        livelink = "csv" in config.save_kinds and config.csv == "livelink"
        self._rows: defaultdict[int, list[str]] | None = defaultdict(list) if livelink else None

    def add(self, frame: TrackedFrame) -> None:
        """Take the next frame."""
        if self._animations is not None:
            self._animations.add(frame)
        if self._rows is not None:
            for face in frame.scene:
                self._rows[face.track_id or 0].append(livelink_row(face, frame.time_s))

    def write(self, stem: str) -> tuple[str, ...]:
        """Write the files; return their names relative to the folder of the results."""
        config, written = self._config, []
        for track_id, rows in sorted((self._rows or {}).items()):
            written.append(stem + LIVELINK_SUFFIX.format(track_id))
            write_bytes(config.out / written[-1], (livelink_header() + "".join(rows)).encode())
        if self._animations is not None:
            glbs = self._animations.glbs(texture=config.texture, texture_px=config.texture_px, mesh=config.mesh)
            for track_id, data in glbs:
                written.append(f"{stem}{TRACK_SUFFIX.format(track_id)}.glb")
                write_bytes(config.out / written[-1], data)
        return tuple(written)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Drawn:
    """What of a frame goes into the files; None where no such file was asked for."""

    frame: TrackedFrame
    overlay: UInt8[np.ndarray, "rows cols 3"] | None
    csv: str | None
    json: str | None


class _Sinks:
    """The open result files of a video."""

    def __init__(
        self, stack: ExitStack, paths: dict[str, Path], source: Source, header: str, preview: Preview | None
    ) -> None:
        self._preview = preview
        self._video: VideoWriter | None = None
        if "overlay" in paths:
            self._video = stack.enter_context(video_writer(paths["overlay"], source))
        texts = {kind: stack.enter_context(paths[kind].open("w")) for kind in ("csv", "json") if kind in paths}
        self._csv, self._json = texts.get("csv"), texts.get("json")
        if self._csv is not None:
            self._csv.write(header)

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the source is not in the files."""
        return () if self._video is None else tuple(self._video.notes)

    def draw(self, frame: TrackedFrame) -> _Drawn:
        """Make what goes into the files; may run in several threads."""
        times = {"frame": frame.index, "time_s": frame.time_s, "source_time_s": frame.source_time_s}
        return _Drawn(
            frame=frame,
            overlay=None if self._video is None and self._preview is None else frame.scene.overlay(parse=False),
            csv=None if self._csv is None else csv_rows(frame.scene, _CSV_COLUMNS, **times),
            json=None if self._json is None else json.dumps(scene_to_dict(frame.scene) | times, allow_nan=False) + "\n",
        )

    def add(self, drawn: _Drawn) -> None:
        """Append one frame to every file."""
        frame = drawn.frame
        if self._preview is not None and drawn.overlay is not None:
            self._preview.show(drawn.overlay)
        if self._video is not None and drawn.overlay is not None:
            self._video.add(drawn.overlay, frame.time_s, zero_s=frame.source_time_s - frame.time_s)
        if self._csv is not None and drawn.csv is not None:
            self._csv.write(drawn.csv)
        if self._json is not None and drawn.json is not None:
            self._json.write(drawn.json)
