"""The service under load: statuses, latency and memory with many clients, part of whose bodies are damaged.

`python benchmarks/service_load.py --seconds 60` starts `reconstruct serve` on a free port of 127.0.0.1, lets 64 clients
send pictures, 15 % of them damaged, and prints what they got and the server's memory; then SIGTERM must end it with
status 0. `python benchmarks/service_load.py --seconds 600 --pictures FOLDER` is the long run.
"""

import io
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

_PAGE = os.sysconf("SC_PAGE_SIZE")
_START_S = 600.0
_STOP_S = 300.0


@dataclass(frozen=True, kw_only=True)
class LoadConfig:
    """Load a server of its own."""

    seconds: float = 60.0
    clients: int = 64
    bad: float = 0.15
    """Part of the bodies that are damaged."""
    pictures: Path | None = None
    """Folder of JPEG files; by default scikit-image's astronaut at several sizes."""
    limit_mb: float = 1500.0
    """Status 1 if the server's memory exceeds this."""
    timeout_s: float = 30.0
    """The server's limit of a request; on a busy machine nothing is answered within the default."""
    seed: int = 0


def bodies(config: LoadConfig) -> list[bytes]:
    """Whole pictures."""
    if config.pictures is not None:
        return [path.read_bytes() for path in sorted(config.pictures.glob("*.jpg"))]
    from skimage.data import astronaut

    made = []
    for side in (256, 640, 1280, 2560):
        stream = io.BytesIO()
        Image.fromarray(astronaut()).resize((side, side)).save(stream, "JPEG", quality=90)
        made.append(stream.getvalue())
    return made


def damaged(body: bytes, rng: random.Random) -> bytes:
    """A picture that was cut, overwritten, or is none."""
    kind = rng.randrange(3)
    if kind == 0:
        return body[: rng.randrange(1, len(body))]
    if kind == 1:
        data = bytearray(body)
        for _ in range(50):
            data[rng.randrange(min(len(data), 2000))] = rng.randrange(256)
        return bytes(data)
    return rng.randbytes(rng.randrange(1, 100_000))


def client(
    port: int, pictures: list[bytes], config: LoadConfig, number: int, end: float, seen: list[tuple[int, float]]
) -> None:
    """Send pictures until the time is over."""
    rng = random.Random(config.seed + number)
    while time.monotonic() < end:
        body = rng.choice(pictures)
        if rng.random() < config.bad:
            body = damaged(body, rng)
        kind = rng.choice(("json", "json", "json", "overlay", "glb"))
        start = time.monotonic()
        connection = HTTPConnection("127.0.0.1", port, timeout=2 * config.timeout_s)
        try:
            connection.request("POST", f"/reconstruct?format={kind}", body=body)
            answer = connection.getresponse()
            answer.read()
            seen.append((answer.status, time.monotonic() - start))
            if answer.status == 503:
                time.sleep(float(answer.headers["Retry-After"]) * rng.random())
        except (OSError, HTTPException):
            seen.append((0, time.monotonic() - start))
        finally:
            connection.close()


def resident_mb(pid: int) -> float:
    """Memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6


def start_server(timeout_s: float) -> tuple[subprocess.Popen[bytes], int]:
    """Start the command and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "morphable_reconstruct",
        "serve",
        "--port",
        str(port),
        "--timeout-s",
        str(timeout_s),
    ]
    process = subprocess.Popen(command)
    for _ in range(round(_START_S * 10)):
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return process, port
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise TimeoutError("the server did not start")


def main() -> int:
    """Print statuses, latencies and memory."""
    config = tyro.cli(LoadConfig)
    pictures, seen, peak = bodies(config), [], []
    process, port = start_server(config.timeout_s)
    try:
        before = resident_mb(process.pid)
        end = time.monotonic() + config.seconds
        threads = [
            threading.Thread(target=client, args=(port, pictures, config, number, end, seen))
            for number in range(config.clients)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            peak.append(resident_mb(process.pid))
            time.sleep(0.5)
        print(f"memory {before:.0f} MB before, at most {max(peak):.0f} MB", flush=True)
        process.send_signal(signal.SIGTERM)
        status = process.wait(_STOP_S + config.timeout_s)
    finally:
        process.kill()
    counts = Counter(code for code, _ in seen)
    good = np.array([seconds for code, seconds in seen if code == 200] or [np.nan])
    print(f"{config.clients} clients, {100 * config.bad:g} % damaged bodies, {config.seconds:g} s")
    print("answers:", ", ".join(f"{count} x {code}" for code, count in sorted(counts.items())))
    print(f"200 after {np.median(good):.2f} s (median), {np.quantile(good, 0.95):.2f} s (95 %)")
    print(f"SIGTERM ended it with status {status}")
    failed = status != 0 or max(peak) > config.limit_mb or any(code not in (200, 415, 422, 503, 504) for code in counts)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
