"""Every kind of source becomes a photo folder; an archive is unpacked once."""

import hashlib
import http.server
import os
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from bears_tl.errors import InputError, NotReachableError
from bears_tl.photos import archive, left_out
from bears_tl.photos.archive import ArchiveError
from bears_tl.photos.fetch import fetch, fetch_to
from bears_tl.photos.layout import class_folders, class_root

from .packing import CLASSES, PHOTOS, left, packed, special, tar_of

# --- archives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_an_archive_is_judged_by_content_and_unpacked_once(tmp_path, data, kind, monkeypatch):
    path = tmp_path / "photos.txt"
    path.write_bytes(packed(kind))
    folder = fetch(path, data)
    assert folder.name == "bear_photos" and [path.name for path in class_folders(folder)] == CLASSES
    assert {f"bear_photos/{path.relative_to(folder)}": path.read_bytes() for path in folder.glob("*/*")} == PHOTOS
    monkeypatch.setattr(archive, "extract", None)
    assert fetch(path, data, sha256=hashlib.sha256(path.read_bytes()).hexdigest()) == folder


def test_a_changed_archive_is_another_folder(tmp_path, data):
    path = tmp_path / "bears.tar.gz"
    path.write_bytes(packed("tar.gz"))
    before = fetch(path, data)
    assert before.parent.name == f"bears-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    path.write_bytes(packed("tar.gz", [*PHOTOS.items(), ("bear_photos/Polar/new.jpg", b"new")]))
    assert fetch(path, data) != before


def test_a_process_that_was_killed_leaves_no_finished_folder(tmp_path, data):
    """The folder of an interrupted extraction is never used, and the next extraction removes it."""
    path = tmp_path / "a.tar.gz"
    path.write_bytes(packed("tar.gz", [*PHOTOS.items(), special(tarfile.SYMTYPE)]))
    target = f"a-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    script = (
        "import os, sys; from bears_tl.photos.fetch import fetch; os.sync = lambda: os._exit(9);"
        "fetch(sys.argv[1], sys.argv[2])"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path), str(data)]).returncode == 9
    assert left(data)[0].endswith(".part") and not (data / target).exists()
    assert len(class_folders(fetch(path, data))) == 3
    assert [name for name in left(data) if "/" not in name] == [target, f"{target}.left_out.csv"]


def test_two_processes_unpack_once(tmp_path, data):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(packed("tar.gz"))
    script = (
        "import os, sys, time; from bears_tl.photos.fetch import fetch;"
        "os.sync = lambda: (print('unpacked'), time.sleep(1)); print(fetch(sys.argv[1], sys.argv[2]))"
    )
    command = [sys.executable, "-c", script, str(path), str(data)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=30)[0].split("\n") for process in processes]
    assert outputs[0][-2] == outputs[1][-2] and sum("unpacked" in lines for lines in outputs) == 1


def test_a_new_photo_folder_keeps_its_table(tmp_path, capsys):
    (tmp_path / "a.tar").write_bytes(tar_of([*PHOTOS.items(), special(tarfile.SYMTYPE)]))
    folder = fetch_to(tmp_path / "a.tar", tmp_path / "mine")
    table = tmp_path / "mine.left_out.csv"
    assert left_out.read(folder) == [{"name": "Grizzly/x", "reason": "link"}] and str(table) in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "mine", "mine.left_out.csv"]


# --- other sources ------------------------------------------------------------------------------------------------


def test_a_folder_is_used_where_it_is(tmp_path, data, monkeypatch):
    for name in PHOTOS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "bear_photos" / ".cache").mkdir()
    (tmp_path / "bear_photos" / "notes.txt").write_text("notes")
    assert fetch(tmp_path / "bear_photos", data) == tmp_path / "bear_photos"
    data.rmdir()
    assert fetch(tmp_path, data) == tmp_path / "bear_photos"
    assert fetch(tmp_path / "bear_photos" / "..", data).samefile(tmp_path / "bear_photos")
    monkeypatch.chdir(tmp_path / "bear_photos")
    assert fetch(".", data).samefile(tmp_path / "bear_photos")


def test_one_class_alone_is_a_folder_of_class_folders(tmp_path):
    (tmp_path / "photos" / "Grizzly").mkdir(parents=True)
    (tmp_path / "photos" / "Grizzly" / "1.jpg").write_bytes(b"x")
    assert class_root(tmp_path) == tmp_path / "photos"


def test_an_empty_folder_is_named(tmp_path, data):
    for folder in (data, tmp_path / "x"):
        folder.mkdir(exist_ok=True)
        (folder / "1.jpg").touch()
        with pytest.raises(InputError, match="contains no class folders"):
            fetch(folder, data)


def test_the_sample_is_painted_once(data, monkeypatch):
    painted = []

    def paint_sample(folder, seed):
        painted.append(seed)
        (folder / "Panda").mkdir(parents=True)

    monkeypatch.setitem(
        sys.modules, "bears_tl.photos.sample", type("Sample", (), {"paint_sample": staticmethod(paint_sample)})
    )
    assert fetch("sample", data) == fetch("sample", data) == data / "sample"
    assert fetch("sample", data, seed=7) == data / "sample-7"
    assert painted == [0, 7]


@pytest.mark.parametrize(
    "source", ["missing.tar.xz", "", "/dev/zero", "ftp://example.org/a.zip", "a\0b", "x" * 5000, "~nobody/x.zip"]
)
def test_what_is_no_source_is_named(data, source):
    with pytest.raises(InputError) as raised:
        fetch(source, data)
    assert "\n" not in str(raised.value)


def test_a_wrong_hash_is_named(tmp_path, data):
    (tmp_path / "a.zip").write_bytes(packed("zip"))
    with pytest.raises(InputError, match="expected abc"):
        fetch(tmp_path / "a.zip", data, sha256="abc")
    with pytest.raises(InputError, match="only archives can be checked"):
        fetch(tmp_path, data, sha256="abc")
    assert left(data) == []


# --- over the network, on the loopback interface ------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch):
    """A server of `content` that counts its requests; `announced` is the length in its header."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            self.server.count += 1
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(self.server.announced or len(self.server.content)))
            self.end_headers()
            self.wfile.write(self.server.content)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.content, server.announced, server.status, server.count = packed("tar.xz"), None, 200, 0
    server.url = f"http://127.0.0.1:{server.server_port}/my%20bears.tar.xz?download=1"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


QUICK = {"attempts": 1, "backoff_seconds": 0.01, "connect_timeout_seconds": 1, "read_timeout_seconds": 1}


def test_an_address_is_fetched_once(server, data):
    folder = fetch(server.url, data)
    digest = hashlib.sha256(server.content).hexdigest()
    assert folder == data / f"my_bears-{digest[:12]}" / "bear_photos"
    assert fetch(server.url, data) == folder
    for path in (data / "archives").iterdir():
        path.unlink()
    assert fetch(server.url, data, sha256=digest.upper()) == folder, "the lock knows the folder, the archive may go"
    assert server.count == 1
    with pytest.raises(InputError, match="is locked to"):
        fetch(server.url, data, sha256="0" * 64)


def test_a_download_over_a_limit_is_not_lost(server, data):
    with pytest.raises(ArchiveError, match="more than the allowed 2 files"):
        fetch(server.url, data, max_files=2)
    assert fetch(server.url, data).is_dir() and server.count == 1


def test_a_bomb_is_not_kept_whatever_the_limits(server, data, monkeypatch):
    server.content = packed("zip", [("Grizzly/1.jpg", bytes(10**6)), ("Panda/1.jpg", b"x")])
    monkeypatch.setattr(archive, "RATIO_FREE_BYTES", 0)
    with pytest.raises(ArchiveError, match="a decompression bomb"):
        fetch(server.url, data)
    monkeypatch.undo()
    server.content = packed("zip")
    assert fetch(server.url, data).is_dir()


def test_two_addresses_of_one_name_are_two_archives(server, data):
    first = fetch(server.url, data)
    server.content = packed("zip", [("Cat/1.jpg", b"x"), ("Dog/1.jpg", b"x")])
    second = fetch(server.url.replace("/my", "/other/my"), data)
    assert [len(class_folders(folder)) for folder in (first, second)] == [3, 2]


@pytest.mark.parametrize(
    ("error", "words", "fault"),
    [
        (InputError, "is a web page (Sign in), not the file", {"content": b"<html><title>Sign in</title></html>"}),
        (ArchiveError, "not an archive", {"content": b"words"}),
        (ArchiveError, "is truncated", {"announced": 400}),  # which cannot be told from a short file
        (ArchiveError, "lead out of the folder", {"content": packed("zip", [("../x", b"x")])}),
        (ArchiveError, "no class folders", {"content": packed("zip", [("x", b"x")])}),
        (NotReachableError, "HTTP 404", {"status": 404}),
        (NotReachableError, "the connection broke", {"announced": 10**6}),
    ],
)
def test_a_fault_is_named_and_the_next_run_succeeds(server, data, error, words, fault):
    good = {name: getattr(server, name) for name in fault}
    vars(server).update(fault)
    with pytest.raises(error) as raised:
        fetch(server.url, data, download_options=QUICK)
    assert words in str(raised.value) and server.url in str(raised.value) and "\n" not in str(raised.value)
    parts = [name for name in left(data) if name not in ("archives", "lock.json")]
    assert all(name.endswith((".part", ".part.json")) for name in parts) and (not parts or "announced" in fault)
    vars(server).update(good)
    assert len(class_folders(fetch(server.url, data, download_options=QUICK))) == 3


def test_an_archive_may_be_put_there_by_hand(data, server):
    server.status = 404
    with pytest.raises(NotReachableError, match=r"put the file at '(.*)' yourself") as raised:
        fetch(server.url, data, download_options=QUICK)
    Path(str(raised.value).split("put the file at '")[1].split("'")[0]).write_bytes(packed("zip"))
    assert len(class_folders(fetch(server.url, data))) == 3


def test_two_processes_fetch_an_address_once(server, data):
    script = "import sys; from bears_tl.photos.fetch import fetch; print(fetch(sys.argv[1], sys.argv[2]))"
    command = [sys.executable, "-c", script, server.url, str(data)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=30)[0] for process in processes]
    assert outputs[0] == outputs[1] != "" and server.count == 1


REAL = os.environ.get("BEARS_TL_REAL")


@pytest.mark.skipif(not REAL, reason="BEARS_TL_REAL names no folder with photos/bear_photos.tar.xz")
def test_the_real_archive(tmp_path):
    started_seconds = time.monotonic()
    folder = fetch(f"{REAL}/photos/bear_photos.tar.xz", tmp_path)
    counts = {path.name: len(list(path.iterdir())) for path in class_folders(folder)}
    assert counts == {"Grizzly": 224, "Panda": 224, "Polar": 103}
    assert fetch(f"{REAL}/photos/bear_photos.tar.xz", tmp_path) == folder
    assert time.monotonic() - started_seconds < 60
