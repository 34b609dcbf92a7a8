"""Threads that work ahead: order, bounds, errors and early ends."""

import threading
import time

import pytest

from morphable_reconstruct.reconstructor.stream import map_ahead, read_ahead


def counted(number, taken):
    for index in range(number):
        taken.append(index)
        yield index


def test_items_come_in_order_and_few_ahead():
    taken = []
    items = read_ahead(counted(50, taken), ahead=3)
    assert next(items) == 0
    time.sleep(0.3)
    assert len(taken) <= 5  # one given, three waiting, one in hand
    assert list(items) == list(range(1, 50))


def test_an_error_comes_at_its_place():
    def failing():
        yield 1
        raise ValueError("damaged")

    items = read_ahead(failing(), ahead=4)
    assert next(items) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(items)


def test_an_early_end_closes_the_source_and_its_thread():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    items = read_ahead(endless(), ahead=2)
    next(items)
    items.close()
    assert closed.is_set()
    assert threading.active_count() == before


def test_mapping_keeps_the_order_and_the_bound():
    under_way, most, lock = 0, 0, threading.Lock()

    def slow(value):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.002 * (value % 3))
        with lock:
            under_way -= 1
        return value * value

    assert list(map_ahead(slow, range(40), threads=3, ahead=5)) == [value * value for value in range(40)]
    assert most <= 3
    with pytest.raises(ZeroDivisionError):
        list(map_ahead(lambda value: 1 // (3 - value), range(10), threads=2, ahead=4))


def test_the_preview_shows_the_latest_frame():
    import io
    from urllib.request import urlopen

    import numpy as np
    from PIL import Image

    from morphable_reconstruct.video.preview import preview_server

    with preview_server(0) as preview:
        assert preview.address.startswith("http://127.0.0.1:")
        assert b'src="/stream"' in urlopen(preview.address, timeout=20).read()
        preview.show(np.full((8, 16, 3), 40, np.uint8))
        preview.show(np.full((8, 16, 3), 200, np.uint8))
        with urlopen(f"{preview.address}stream", timeout=20) as stream:
            head = [stream.readline() for _ in range(4)]
            length = int(head[2].split()[1])
            picture = Image.open(io.BytesIO(stream.read(length)))
        assert picture.size == (16, 8)
        assert abs(np.asarray(picture).mean() - 200) < 3
