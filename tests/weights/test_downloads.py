"""Downloads against a real server on the loopback: cuts, wrong content, no ranges, a full disk, cancelling."""

import errno
import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rfapp.errors import OutputError, UnknownModel, WeightsAltered, WeightsError
from rfapp.weights import downloads
from rfapp.weights.downloads import DOWNLOADS, Cancelled, Download, fetch, find_download

CONTENT = bytes(range(256)) * 8192  # 2 MiB


@dataclass
class Behaviour:
    content: bytes = CONTENT
    cut_after: list[int] = field(default_factory=list)  # for each connection: how many bytes until it breaks
    ranges: bool = True
    status: int = 200
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def server():
    behaviour = Behaviour()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range")
            behaviour.asked.append(wanted)
            if behaviour.status != 200:
                self.send_error(behaviour.status)
                return
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and behaviour.ranges else 0
            if start >= len(behaviour.content) and wanted and behaviour.ranges:
                self.send_error(416)
                return
            body = behaviour.content[start:]
            self.send_response(206 if wanted and behaviour.ranges else 200)
            if wanted and behaviour.ranges:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(behaviour.content) - 1}/{len(behaviour.content)}"
                )
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            limit = behaviour.cut_after.pop(0) if behaviour.cut_after else len(body)
            self.wfile.write(body[:limit])

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            pass  # a client that hangs up is part of the tests

    http = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    behaviour.address = f"http://127.0.0.1:{http.server_port}/net.pth"
    yield behaviour
    http.shutdown()
    http.server_close()
    thread.join(5)


def wanted(server, **about) -> Download:
    values = {"bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest(), **about}
    return Download("net", server.address, title="", licence="", **values)


def test_a_file_arrives_with_progress_and_is_not_fetched_twice(server, tmp_path):
    seen = []
    path = fetch(wanted(server), tmp_path / "new", lambda done, total: seen.append((done, total)) is None)
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert not list(path.parent.glob("*.part"))
    fetch(wanted(server), tmp_path / "new")
    assert len(server.asked) == 1


def test_a_broken_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.cut_after = [300_000, 700_000]
    assert fetch(wanted(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=1000000-"]


def test_a_server_that_knows_no_ranges_starts_from_the_beginning(server, tmp_path):
    server.ranges = False
    server.cut_after = [300_000]
    assert fetch(wanted(server), tmp_path).read_bytes() == CONTENT


def test_a_connection_that_always_breaks_ends_with_a_sentence(server, tmp_path):
    server.cut_after = [0] * 50
    with pytest.raises(WeightsError, match="can't be fetched"):
        fetch(wanted(server), tmp_path)
    assert len(server.asked) == downloads.ATTEMPTS


def test_wrong_content_never_gets_the_name(server, tmp_path):
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(WeightsAltered, match="not what was published"):
        fetch(wanted(server), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_too_long_is_refused_before_it_is_read(server, tmp_path):
    server.content = CONTENT * 2
    with pytest.raises(WeightsAltered, match="offers"):
        fetch(wanted(server), tmp_path)


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "net.pth.part").write_bytes(CONTENT + b"x" * 10)
    assert fetch(wanted(server), tmp_path).read_bytes() == CONTENT


def test_a_damaged_part_is_found_by_the_fingerprint(server, tmp_path):
    (tmp_path / "net.pth.part").write_bytes(b"?" * 1000)
    with pytest.raises(WeightsAltered):
        fetch(wanted(server), tmp_path)
    assert fetch(wanted(server), tmp_path).read_bytes() == CONTENT


def test_cancelling_keeps_what_came_and_the_next_attempt_goes_on_there(server, tmp_path):
    with pytest.raises(Cancelled):
        fetch(wanted(server), tmp_path, lambda done, total: done < 600_000)
    size = (tmp_path / "net.pth.part").stat().st_size
    assert 600_000 <= size < len(CONTENT)
    assert fetch(wanted(server), tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == f"bytes={size}-"


@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_server_s_no_is_told_at_once(server, tmp_path, status):
    server.status = status
    with pytest.raises(WeightsError, match="can't be fetched"):
        fetch(wanted(server), tmp_path)
    assert len(server.asked) == 1


def test_nobody_there_is_told(server, tmp_path):
    item = wanted(server)
    gone = Download("net", "http://127.0.0.1:9/net.pth", item.bytes, item.sha256, "", "")
    with pytest.raises(WeightsError, match="can't be fetched"):
        fetch(gone, tmp_path)


def test_a_full_disk_is_told_before_and_while_writing(server, tmp_path, monkeypatch):
    item = wanted(server, bytes=1 << 60)
    with pytest.raises(OutputError, match="no room"):
        fetch(item, tmp_path)
    assert server.asked == []

    def full(done, total):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="no room"):
        fetch(wanted(server), tmp_path, full)
    assert fetch(wanted(server), tmp_path).read_bytes() == CONTENT


def test_first_digits_of_a_fingerprint_are_enough_where_no_more_are_published(server, tmp_path):
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert fetch(wanted(server, sha256=digest[:8]), tmp_path).exists()


def test_every_known_download_is_complete():
    for name, item in DOWNLOADS.items():
        assert item.name == name
        assert item.address.startswith("https://")
        assert len(item.sha256) == 64 or item.sha256 in item.file
        assert item.bytes > 1_000_000
        assert item.licence
    with pytest.raises(UnknownModel, match="resnet50"):
        find_download("resnet5000")
