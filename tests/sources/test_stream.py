"""Network streams against real servers on the loopback: live, finite, silent, broken, and with a password."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from rfapp.errors import SourceError, StreamFailed, StreamLost
from rfapp.frames import Frame
from rfapp.sources import stream as stream_module
from rfapp.sources.kinds import without_password
from rfapp.sources.stream import Stream

Serve = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Serve], str]]:
    servers = []

    def start(answer: Serve) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients that hang up are part of the tests

        server = Server(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/live"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join(5)


def jpeg(index: int) -> bytes:
    image = np.full((96, 128, 3), 40, np.uint8)
    image[:, : 8 * (index % 16)] = 220
    return cv2.imencode(".jpg", image)[1].tobytes()


def webcam(pictures: int, then: float = 0.0, pause: float = 0.02) -> Serve:
    """A camera on the network: JPEG after JPEG; silent for *then* seconds after so many *pictures*."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        request.end_headers()
        for index in range(pictures):
            content = jpeg(index)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
            request.wfile.write(head.encode() + content + b"\r\n")
            time.sleep(pause)
        time.sleep(then)

    return answer


def read_all(source: Stream, frames: list[Frame]) -> None:
    while (frame := source.read()) is not None:
        frames.append(frame)


def test_a_camera_on_the_network_is_live_and_its_end_is_a_loss(serve: Callable[[Serve], str]) -> None:
    with Stream(serve(webcam(30))) as source:
        info = source.open()
        assert info.live
        assert not info.seekable
        assert (info.width, info.height) == (128, 96)
        frames: list[Frame] = []
        with pytest.raises(StreamLost, match="delivers no more pictures"):
            read_all(source, frames)
    assert len(frames) >= 25
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(b.time_s >= a.time_s for a, b in pairwise(frames))
    assert not frames[0].image.flags.writeable


def test_pictures_come_with_little_delay(serve: Callable[[Serve], str]) -> None:
    with Stream(serve(webcam(60, pause=0.05))) as source:
        source.open()
        began = time.perf_counter()
        for _ in range(10):
            source.read()
        # Ten pictures, fifty milliseconds apart: nothing is held back to be decoded together.
        assert time.perf_counter() - began < 2.0


def test_a_silent_stream_is_lost_after_its_time(serve: Callable[[Serve], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "READ_S", 0.7)
    with Stream(serve(webcam(20, then=8.0))) as source:
        source.open()
        began = time.perf_counter()
        with pytest.raises(StreamLost):
            read_all(source, [])
        assert time.perf_counter() - began < 6


def test_a_video_on_a_server_ends(serve: Callable[[Serve], str], test_data: Path) -> None:
    content = (test_data / "clips" / "indoor_mjpeg.avi").read_bytes()

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    with Stream(serve(answer)) as source:
        info = source.open()
        assert not info.live
        frames: list[Frame] = []
        read_all(source, frames)
        assert len(frames) == 150
        assert source.read() is None


@pytest.mark.parametrize("content", [b"", b"this is no video" * 500, bytes(range(256)) * 200])
def test_garbage_is_a_sentence(serve: Callable[[Serve], str], content: bytes) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(content)

    with Stream(serve(answer)) as source, pytest.raises(SourceError) as caught:
        source.open()
    assert "127.0.0.1" in str(caught.value)


def test_a_page_that_is_not_there_and_nobody_there_are_sentences(serve: Callable[[Serve], str]) -> None:
    with Stream(serve(lambda request: request.send_error(404))) as source, pytest.raises(StreamFailed):
        source.open()
    with Stream("http://127.0.0.1:9/x") as source, pytest.raises(StreamFailed, match="can't be opened"):
        source.open()


def test_a_password_is_never_shown() -> None:
    assert without_password("rtsp://me:secret@cam.local:554/1") == "rtsp://…@cam.local:554/1"
    assert without_password("rtsp://cam/1") == "rtsp://cam/1"
    with Stream("http://me:secret@127.0.0.1:9/x") as source, pytest.raises(StreamFailed) as caught:
        source.open()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_closing_from_another_thread_ends_a_read_that_waits(
    serve: Callable[[Serve], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "READ_S", 1.5)
    source = Stream(serve(webcam(10, then=8.0)))
    source.open()
    ended = threading.Event()

    def read() -> None:
        try:
            while source.read() is not None:
                pass
        except SourceError:
            pass
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    time.sleep(0.5)
    began = time.perf_counter()
    source.close()
    assert time.perf_counter() - began < 1.0, "closing waits for nobody"
    assert ended.wait(4)
    source.close()


def test_a_play_list_leads_to_no_file_of_this_computer(
    serve: Callable[[Serve], str], test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "OPEN_S", 2.0)  # an address that names nothing to play is given up only then
    secret = test_data / "clips" / "indoor_mjpeg.avi"

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "application/vnd.apple.mpegurl")
        request.end_headers()
        request.wfile.write(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{secret}\n".encode())

    with Stream(serve(answer)) as source, pytest.raises(SourceError):
        source.open()
