"""Each server fault (on the loopback interface) gives a clear message and no partial file; the next run succeeds."""

import hashlib
import http.server
import json
import random
import subprocess
import sys
import threading
import time

import pytest

from bears_tl.errors import InputError, NotReachableError
from bears_tl.lock import forget
from bears_tl.network import download as module
from bears_tl.network.download import download, is_drive
from bears_tl.network.responses import _retry_after_seconds

CONTENT = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
HTML = b"\n<!DOCTYPE html><html><head><title>Google Drive - Quota\nexceeded</title></head><body>no</body></html>"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = {"backoff_seconds": 0.01, "connect_timeout_seconds": 1, "read_timeout_seconds": 0.6, "max_wait_seconds": 1}


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` at every path; each request uses one of `faults`, and the last one is repeated."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.validators, self.faults = CONTENT, True, []
        self.requests = []  # (path, Range header) of each
        self.released = threading.Event()  # ends what stalls
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, path="/photos.bin"):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        fault = server.faults[0] if server.faults else good
        del server.faults[: len(server.faults) > 1]
        fault(self, server.content)

    def reply(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        if self.server.validators and status < 300:
            self.send_header("ETag", f'"{hashlib.md5(self.server.content).hexdigest()}"')
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


def good(handler, content, obey_if_range=True):
    asked, tag = handler.headers.get("Range"), f'"{hashlib.md5(content).hexdigest()}"'
    if not asked or (obey_if_range and handler.headers.get("If-Range", tag) != tag):
        return handler.reply(200, content)
    start = int(asked.removeprefix("bytes=").removesuffix("-"))
    if start >= len(content):
        return handler.reply(416, Content_Range=f"bytes */{len(content)}")
    handler.reply(206, content[start:], Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}")


def drops(handler, content):
    handler.reply(200, content[:150_000], length=len(content))


def drops_every_60_kb(handler, content):
    start = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    span = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
    handler.reply(206 if start else 200, content[start : start + 70_000], length=len(content) - start, **span)


def ignores_range(handler, content):
    handler.reply(200, content)


def ignores_if_range(handler, content):
    good(handler, content, obey_if_range=False)


def announces_more(handler, content):
    if handler.headers.get("Range"):
        return handler.reply(416, Content_Range=f"bytes */{len(content)}")
    handler.reply(200, content, length=len(content) + 1000)


def answers_another_range(handler, content):
    if not handler.headers.get("Range"):
        return drops(handler, content)
    handler.reply(206, content[7:], Content_Range=f"bytes 7-{len(content) - 1}/{len(content)}")


def sends_nothing(handler, content):
    handler.reply(200)


def redirects_in_a_circle(handler, content):
    handler.reply(302, Location=handler.path)


def serves_html(handler, content):
    handler.reply(200, HTML, Content_Type="application/octet-stream")


def stalls(handler, content):
    handler.reply(200, content[:150_000], length=len(content))
    handler.server.released.wait(5)


def never_answers(handler, content):
    handler.server.released.wait(5)


def hangs_up(handler, content):
    handler.connection.close()


def answers(status, **headers):
    return lambda handler, content: handler.reply(status, b"no", **headers)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def get(server, tmp_path):
    def get(sources=None, **options):
        sources = sources or server.url()
        return download(sources, tmp_path / "in" / "photos.bin", lock=tmp_path / "lock.json", **(QUICK | options))

    return get


def left(tmp_path):
    """Return the names of all files except the empty lock files."""
    return sorted(path.name for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith(".lock"))


def test_a_file_comes_whole_and_is_recorded(server, get, tmp_path, capsys):
    path = get(description="the photos")
    assert path.read_bytes() == CONTENT
    assert left(tmp_path) == ["lock.json", "photos.bin"]
    lock = json.loads((tmp_path / "lock.json").read_text())
    assert lock == {"photos.bin": {"bytes": len(CONTENT), "sha256": SHA256, "source": server.url()}}
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2, "stderr is no terminal: a line at the start and one at the end"
    assert lines[0] == f"fetching the photos from {server.url()}" and lines[1].startswith(
        "fetched the photos: 0.3 MB in "
    )


def test_a_terminal_gets_a_bar(server, get, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    get(description="the photos")
    assert "the photos: 100%" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "error", "words", "rest"),
    [
        (drops, NotReachableError, "the connection broke after 0.1 MB", True),
        (announces_more, NotReachableError, "the server announced 301000 bytes but has none from 300000 on", False),
        (answers_another_range, NotReachableError, "the server sent a different part than requested", False),
        (sends_nothing, NotReachableError, "the server sent nothing", False),
        (redirects_in_a_circle, NotReachableError, "redirects too many times", False),
        (serves_html, InputError, "is a web page (Google Drive - Quota exceeded), not the file", False),
        (stalls, NotReachableError, "the server stopped responding", True),
        (never_answers, NotReachableError, "the server stopped responding", False),
        (hangs_up, NotReachableError, "the connection broke after 0 bytes", False),
        (answers(404), NotReachableError, "answered HTTP 404 Not Found: check", False),
        (answers(429), NotReachableError, "answered HTTP 429 Too Many Requests; gave up after 2 attempts", False),
        (answers(503, Retry_After="0"), NotReachableError, "answered HTTP 503 Service Unavailable", False),
        (answers(503, Retry_After="3600"), NotReachableError, "asks to wait 3600 s; gave up after 1 attempt", False),
        (answers(206), NotReachableError, "the server sent a different part than requested", False),
    ],
)
def test_a_fault_is_named_and_the_next_run_succeeds(server, get, tmp_path, fault, error, words, rest):
    server.faults = [fault]
    with pytest.raises(error) as raised:
        get(attempts=2)
    assert words in str(raised.value) and "\n" not in str(raised.value)
    assert raised.value.exit_status == (3 if error is NotReachableError else 2)
    if rest:
        assert left(tmp_path) == ["photos.bin.part", "photos.bin.part.json"]
        assert CONTENT.startswith((tmp_path / "in" / "photos.bin.part").read_bytes())
    else:
        assert left(tmp_path) == []
    server.faults = []
    assert get().read_bytes() == CONTENT
    assert left(tmp_path) == ["lock.json", "photos.bin"]


def test_a_dropped_transfer_is_resumed_where_it_broke(server, get):
    server.faults = [drops, good]
    assert get().read_bytes() == CONTENT
    offset = int(server.requests[1][1].removeprefix("bytes=").removesuffix("-"))
    assert 150_000 - module.CHUNK_BYTES <= offset <= 150_000


def test_attempts_that_bring_the_transfer_further_are_not_counted(server, get):
    server.faults = [drops_every_60_kb]
    assert get(attempts=2).read_bytes() == CONTENT
    assert len(server.requests) == 5


def test_a_part_is_resumed_by_the_next_run(server, get):
    server.faults = [drops]
    with pytest.raises(NotReachableError):
        get(attempts=1)
    server.faults = []
    assert get().read_bytes() == CONTENT
    assert server.requests[1][1].startswith("bytes=")


@pytest.mark.parametrize("fault", [good, ignores_range, ignores_if_range])
@pytest.mark.parametrize("sha256", [None, hashlib.sha256(OTHER).hexdigest()])
@pytest.mark.parametrize("validators", [True, False])
def test_content_that_changes_between_resumes_is_started_over(server, get, fault, sha256, validators):
    server.validators = validators
    server.faults = [drops]
    with pytest.raises(NotReachableError):
        get(attempts=1)
    server.content, server.faults = OTHER, [fault]
    assert get(sha256=sha256).read_bytes() == OTHER


def test_content_that_shrank_is_started_over(server, get):
    server.faults = [drops]
    with pytest.raises(NotReachableError):
        get(attempts=1)
    server.content, server.faults = OTHER[:5000], [ignores_if_range]
    assert get().read_bytes() == OTHER[:5000]


def test_without_validator_or_hash_nothing_is_resumed(server, get):
    server.validators = False
    server.faults = [drops, good]
    assert get().read_bytes() == CONTENT
    assert server.requests[1][1] is None


def test_a_whole_part_is_not_fetched_again(server, get, tmp_path):
    server.faults = [drops]
    with pytest.raises(NotReachableError):
        get(attempts=1)
    (tmp_path / "in" / "photos.bin.part").write_bytes(
        CONTENT
    )  # as after a crash between the last byte and the renaming
    server.faults = []
    assert get().read_bytes() == CONTENT
    assert server.requests[1:] == [("/photos.bin", f"bytes={len(CONTENT)}-")]


def test_a_web_page_does_not_cost_what_was_fetched_before(server, get, tmp_path):
    server.faults = [drops, serves_html]
    with pytest.raises(InputError, match="web page"):
        get()
    assert (tmp_path / "in" / "photos.bin.part").stat().st_size > 80_000


def test_retry_after_is_waited_for(server, get):
    server.faults = [answers(429, Retry_After="1"), good]
    started_seconds = time.monotonic()
    assert get().read_bytes() == CONTENT
    assert time.monotonic() - started_seconds >= 1


def test_retry_after_may_be_a_date():
    assert _retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert _retry_after_seconds("Wed, 21 Oct 2093 07:28:00 GMT") > 10**9
    assert _retry_after_seconds("soon") is None


def test_mirrors_are_tried_in_order(server, get, tmp_path):
    server.faults = [answers(404), serves_html, good]
    get([server.url("/a"), server.url("/b"), server.url("/c")])
    assert [path for path, _ in server.requests] == ["/a", "/b", "/c"]
    assert json.loads((tmp_path / "lock.json").read_text())["photos.bin"]["source"].endswith("/c")


def test_when_all_mirrors_fail_each_is_named(server, get):
    server.faults = [answers(404), answers(410)]
    with pytest.raises(NotReachableError, match=r"/a'.*404.*/b'.*410.*put the file at .*photos\.bin' yourself"):
        get([server.url("/a"), server.url("/b")])


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x", "https://127.0.0.1:9/x"])
def test_no_network_is_told_at_once(get, address):
    started_seconds = time.monotonic()
    with pytest.raises(NotReachableError, match="could not be reached"):
        get(address, backoff_seconds=5)
    assert time.monotonic() - started_seconds < 3


@pytest.mark.parametrize("address", ["http://[bad/x", "ftp://127.0.0.1/x", "https://", "photos.zip", "http://a b/"])
def test_what_is_no_address_is_named(get, address):
    with pytest.raises(InputError):
        get(address)


def test_the_lock_is_used_without_network_and_enforced(server, get, tmp_path):
    path = get()
    assert get() == path and len(server.requests) == 1
    path.write_bytes(OTHER)
    with pytest.raises(InputError, match=r"expected [0-9a-f]{64}: move it away"):
        get()
    path.unlink()
    server.content = OTHER
    with pytest.raises(InputError, match=r"has SHA-256 .*: check the source"):
        get()
    assert left(tmp_path) == ["lock.json"]
    server.content = CONTENT
    assert get().read_bytes() == CONTENT
    forget(path, tmp_path / "lock.json")
    server.content = OTHER
    assert get().read_bytes() == OTHER


def test_a_given_hash_is_enforced_at_once(server, get, tmp_path):
    with pytest.raises(InputError, match="expected " + "0" * 64):
        get(sha256="0" * 64)
    assert left(tmp_path) == []
    get(sha256=SHA256.upper())
    with pytest.raises(InputError, match="is locked to"):
        get(sha256="0" * 64)
    with pytest.raises(InputError, match="expected 64 hexadecimal digits"):
        get(sha256="abc")


def test_a_file_put_there_by_hand_is_recorded_or_refused(server, get, tmp_path):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "photos.bin"
    path.write_bytes(HTML)
    with pytest.raises(InputError, match="web page"):
        get()
    path.write_bytes(CONTENT)
    get()
    assert json.loads((tmp_path / "lock.json").read_text())["photos.bin"]["sha256"] == SHA256
    assert server.requests == []


def test_a_lock_that_is_none_is_named(get, tmp_path):
    for text in ("{", "[]", '{"photos.bin": 1}'):
        (tmp_path / "lock.json").write_text(text)
        with pytest.raises(InputError, match=r"lock\.json"):
            get()


def test_what_the_check_refuses_is_not_kept(server, get, tmp_path):
    def check(path):
        assert path.read_bytes() == CONTENT
        raise InputError("not an archive")

    with pytest.raises(InputError, match="not an archive"):
        get(check=check)
    assert left(tmp_path) == []
    assert get().read_bytes() == CONTENT


def test_a_full_disk_is_told_before_writing(server, get, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(InputError, match=r"needs 0.3 MB, but only 1000 bytes is free at .*: free some space"):
        get()
    assert left(tmp_path) == []
    monkeypatch.undo()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert get().read_bytes() == CONTENT


def test_a_disk_that_fills_up_is_named_and_the_part_is_resumed(server, get, tmp_path, monkeypatch):
    def write_json(path, value):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_json", write_json)
        with pytest.raises(InputError, match="no space left on the disk"):
            get()
    assert get().read_bytes() == CONTENT
    assert left(tmp_path) == ["lock.json", "photos.bin"]


def test_a_folder_that_cannot_be_written_is_named(server, get, tmp_path):
    (tmp_path / "in").write_text("a file")
    with pytest.raises(InputError, match="could not be written"):
        get()


def test_too_large_is_refused(server, get, tmp_path):
    with pytest.raises(InputError, match="the limit is 1000 bytes"):
        get(max_bytes=1000)
    server.faults = [
        lambda handler, content: (handler.send_response(200), handler.end_headers(), handler.wfile.write(content))
    ]
    with pytest.raises(InputError, match="sends more than the limit of 1000 bytes"):
        get(max_bytes=1000)
    assert left(tmp_path) == []


def test_two_processes_fetch_once(server, tmp_path):
    def slow(handler, content):
        time.sleep(1.5)
        good(handler, content)

    server.faults = [slow]
    script = (
        "import sys; from bears_tl.network.download import download;"
        "print(download(sys.argv[1], sys.argv[2] + '/photos.bin', lock=sys.argv[2] + '/lock.json'))"
    )
    command = [sys.executable, "-c", script, server.url(), str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    results = [process.communicate(timeout=30) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert (tmp_path / "photos.bin").read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert sum("waiting for another process" in stderr for _, stderr in results) == 1


def test_google_drive_goes_the_same_way(server, get, tmp_path, monkeypatch):
    """Google Drive's pages are imitated; whether they still look like this needs the network."""
    drive_id = "1fGyktZ4mZhMOXvv4Tq5q-YI2QC73VE-n"
    monkeypatch.setattr(module, "DRIVE_URL", server.url("/uc?id={}"))
    form = (
        f'<html><form id="download-form" action="{server.url("/download")}" method="get">'
        f'<input type="hidden" name="id" value="{drive_id}">'
        f'<input type="hidden" name="confirm" value="t"></form></html>'
    )
    quota = '<html><p class="uc-error-subcaption">Too many users have viewed this file recently.</p></html>'

    def page(text):
        return lambda handler, content: handler.reply(200, text.encode(), Content_Type="text/html; charset=utf-8")

    server.faults = [page(quota)]
    with pytest.raises(NotReachableError, match=r"refuses to send '1fGy.*Too many users have viewed"):
        get(drive_id)
    assert left(tmp_path) == []
    server.faults = [page(form), drops, page(form), good]
    assert get(drive_id).read_bytes() == CONTENT
    assert [path for path, _ in server.requests[-2:]] == [f"/uc?id={drive_id}", f"/download?id={drive_id}&confirm=t"]
    assert server.requests[-1][1].startswith("bytes=")


def test_what_is_on_google_drive():
    assert is_drive("1fGyktZ4mZhMOXvv4Tq5q-YI2QC73VE-n")
    assert is_drive("https://drive.google.com/file/d/1fGyktZ4mZhMOXvv4Tq5q-YI2QC73VE-n/view?usp=sharing")
    assert is_drive("https://drive.google.com/uc?export=download&id=1fGyktZ4mZhMOXvv4Tq5q-YI2QC73VE-n")
    assert not is_drive("data/1fGyktZ4mZhMOXvv4Tq5q-YI2QC73VE-n")
    assert not is_drive("1fGyktZ4mZhMOXvv4Tq5q-YI2QC73VE-n/photos")
    assert not is_drive("https://example.org/1fGyktZ4mZhMOXvv4Tq5q-YI2QC73VE-n")
    assert not is_drive("sample")
    assert not is_drive("photos_of_bears_from_my_trip_2024")


def test_nothing_heavy_is_imported_before_it_is_needed():
    heavy = ("requests", "urllib3", "tqdm", "gdown", "filelock", "numpy", "tenacity")
    script = f"import sys, bears_tl.photos.fetch; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"
