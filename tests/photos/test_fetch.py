"""Every kind of source becomes a photo folder; every kind of unsafe archive gives one clear message."""

import bz2
import gzip
import hashlib
import http.server
import io
import lzma
import os
import random
import stat
import subprocess
import sys
import tarfile
import threading
import time
import warnings
import zipfile
from pathlib import Path

import pytest

from bears_tl.errors import InputError, NotReachableError
from bears_tl.photos import archive
from bears_tl.photos.archive import ArchiveError, extract
from bears_tl.photos.fetch import fetch
from bears_tl.photos.layout import class_folders, class_root

CLASSES = ["Grizzly", "Panda", "Polar"]
PHOTOS = {
    f"bear_photos/{name}/{index} ä%.jpg": f"{name}{index}".encode() * 300 for name in CLASSES for index in range(4)
}
SQUEEZE = {"tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}


def tar_of(entries):
    """Make a tar; an entry is (name, bytes) or a TarInfo."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                tar.addfile(info, io.BytesIO(entry[1]))
    return buffer.getvalue()


def zip_of(entries, compression=zipfile.ZIP_DEFLATED):
    """Make a zip; an entry is (name or ZipInfo, bytes)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a duplicate name
        for name, content in entries:
            file.writestr(name, content)
    return buffer.getvalue()


def packed(kind, entries=None):
    entries = list(PHOTOS.items()) if entries is None else entries
    return zip_of(entries) if kind == "zip" else SQUEEZE[kind](tar_of(entries))


def special(kind, name="Grizzly/x", linkname="/etc/passwd"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


def zip_special(mode, name="Grizzly/x"):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def left(folder):
    """Return everything in a folder except the empty lock files."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.endswith(".lock"))


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


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


def test_wrapping_folders_are_left_aside(tmp_path, data):
    entries = [
        (f"{top}{name}/1.jpg", b"x") for name in CLASSES for top in ("a/b/", "__MACOSX/a/", ".hidden/", "a/b/.git/")
    ]
    (tmp_path / "a.zip").write_bytes(zip_of([*entries, ("README.txt", b"read")]))
    folder = fetch(tmp_path / "a.zip", data)
    assert folder.parts[-2:] == ("a", "b")
    assert [path.name for path in class_folders(folder)] == CLASSES


def test_archives_within_are_just_files(tmp_path, data):
    bomb = gzip.compress(bytes(10**6))
    (tmp_path / "a.tar").write_bytes(tar_of([("Grizzly/more.tar.gz", bomb), ("Panda/1.jpg", b"x")]))
    assert (fetch(tmp_path / "a.tar", data) / "Grizzly" / "more.tar.gz").read_bytes() == bomb


HOSTILE_NAMES = [
    ("an absolute path", ["/tmp/evil.jpg"]),
    ("an absolute path", ["C:/evil.jpg"]),
    ("an absolute path", ["\\\\host\\share\\evil.jpg"]),
    ("leads out of it", ["../evil.jpg"]),
    ("leads out of it", ["Grizzly/../../evil.jpg"]),
    ("with a backslash", ["Grizzly\\..\\..\\evil.jpg"]),
    ("the name 'a/1.jpg' twice", ["a/1.jpg", "b/1.jpg", "./a//1.jpg"]),
    ("the name 'a' twice", ["a", "a/1.jpg"]),
    ("the name 'a' twice", ["a/1.jpg", "a"]),
    ("differ only in case", ["a/1.jpg", "a/1.JPG"]),
    ("differ only in case", ["Bear/1.jpg", "bear/2.jpg"]),
    ("differ only in case or Unicode form", ["a/caf\u00e9.jpg", "a/cafe\u0301.jpg"]),
    ("differ only in case or Unicode form", ["a/stra\u00dfe.jpg", "a/STRASSE.jpg"]),
    ("too long", ["a/" + "n" * 256]),
    ("too long", ["a/" + "ä" * 128]),
    ("too long", ["/".join(["deep"] * 250) + "/1.jpg"[1:]]),
]
DEVICE = "neither a file nor a folder"
HOSTILE = [
    *[(words, "tar", tar_of([(name, b"x") for name in names])) for words, names in HOSTILE_NAMES],
    *[(words, "zip", zip_of([(name, b"x") for name in names])) for words, names in HOSTILE_NAMES],
    ("a link", "tar", tar_of([("Grizzly/1.jpg", b"x"), special(tarfile.SYMTYPE)])),
    ("a link", "tar", tar_of([special(tarfile.LNKTYPE, linkname="Grizzly/1.jpg")])),
    (DEVICE, "tar", tar_of([special(tarfile.CHRTYPE)])),
    (DEVICE, "tar", tar_of([special(tarfile.BLKTYPE)])),
    (DEVICE, "tar", tar_of([special(tarfile.FIFOTYPE)])),
    (DEVICE, "tar", tar_of([special(b"Q")])),
    ("a link", "zip", zip_of([(zip_special(stat.S_IFLNK | 0o777), b"/etc/passwd")])),
    (DEVICE, "zip", zip_of([(zip_special(stat.S_IFCHR | 0o666), b"")])),
    (DEVICE, "zip", zip_of([(zip_special(stat.S_IFIFO | 0o666), b"")])),
    ("no class folders", "tar", tar_of([("1.jpg", b"x")])),
    ("no class folders", "zip", zip_of([])),
    ("empty", "tar", b""),
    ("not an archive (it begins with b'just wor')", "tar.gz", b"just words" * 100),
    ("not an archive", "tar", bytes(10_240)),
    ("a RAR archive", "zip", b"Rar!\x1a\x07\x01\x00" + bytes(100)),
    ("damaged", "tar.gz", gzip.compress(b"not a tar" * 1000)),
    ("truncated", "tar.gz", gzip.compress(b"")),
    ("truncated", "zip", b"PK\x03\x04" + bytes(100)),
]


@pytest.mark.parametrize(("words", "kind", "content"), HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_archive_is_refused_whole(tmp_path, data, words, kind, content):
    path = tmp_path / f"photos.{kind}"
    path.write_bytes(content)
    before = sorted(tmp_path.parent.iterdir())
    with pytest.raises(ArchiveError) as raised:
        fetch(path, data)
    assert words in str(raised.value) and repr(str(path)) in str(raised.value) and "\n" not in str(raised.value)
    assert raised.value.exit_status == 2
    assert left(data) == [] and sorted(tmp_path.parent.iterdir()) == before
    path.write_bytes(packed(kind))
    assert len(class_folders(fetch(path, data))) == 3


def test_an_encrypted_zip_is_named(tmp_path, data):
    content = bytearray(packed("zip"))
    content[6] |= 1  # the flag in the first entry's header, and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match="is encrypted: unpack it yourself"):
        fetch(tmp_path / "a.zip", data)
    assert left(data) == []


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_a_truncated_archive_is_named_wherever_it_ends(tmp_path, data, kind):
    content = packed(
        kind, [(f"{name}/{index}.jpg", random.Random(index).randbytes(700)) for name in CLASSES for index in range(3)]
    )
    ends = [20, 512, 1024, 1536, 2000, len(content) // 2, len(content) - 1]
    if kind == "tar":
        ends = [512, 1024, 1536, 2000, len(content) // 2]  # what follows the end is padding
    for end in ends:
        (tmp_path / "a").write_bytes(content[:end])
        with pytest.raises(ArchiveError, match="is truncated"):
            fetch(tmp_path / "a", data)
        assert left(data) == []


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_a_mutated_archive_is_unpacked_or_refused(tmp_path, data, kind):
    rng, good = random.Random(kind), packed(kind)
    outcomes = set()
    for index in range(60):
        content = bytearray(good)
        for _ in range(rng.choice([1, 3, 20])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        (tmp_path / "a").write_bytes(content)
        try:
            extract(tmp_path / "a", data / str(index))
            outcomes.add("unpacked")
        except InputError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
            assert not (data / str(index)).exists()
    assert "refused" in outcomes
    assert not [name for name in left(data) if ".part" in name]


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path, data):
    content = bytearray(tar_of([(f"{name}/1.jpg", b"x") for name in CLASSES]))
    content[1024 + 10] ^= 1  # in the second header
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(ArchiveError, match="is damaged"):
        fetch(tmp_path / "a.tar", data)


def test_a_wrong_checksum_is_noticed(tmp_path, data):
    content = bytearray(zip_of(PHOTOS.items(), zipfile.ZIP_STORED))
    content[content.index(b"Grizzly0") + 3] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match="is damaged"):
        fetch(tmp_path / "a.zip", data)
    content = bytearray(packed("tar.gz"))
    content[-6] ^= 1
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(ArchiveError, match="is damaged"):
        fetch(tmp_path / "a.tar.gz", data)
    assert left(data) == []


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_limits_hold(tmp_path, data, kind, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(packed(kind, [("Grizzly/1.jpg", bytes(10**6)), ("Panda/1.jpg", b"x"), ("Polar/1.jpg", b"x")]))
    with pytest.raises(ArchiveError, match="more than the allowed 2 files"):
        fetch(path, data, max_files=2)
    with pytest.raises(ArchiveError, match=r"more than the allowed 500,000 bytes; a decompression bomb\?"):
        fetch(path, data, max_bytes=500_000)
    monkeypatch.setattr(archive, "RATIO_FREE_BYTES", 0)
    with pytest.raises(ArchiveError, match="a decompression bomb"):
        fetch(path, data)
    assert left(data) == []
    assert len(class_folders(fetch(path, data, max_ratio=100_000))) == 3


def test_a_zip_that_understates_its_sizes_gets_no_more_room(tmp_path, data):
    content = zip_of([("Grizzly/1.jpg", bytes(10**6))])
    content = content.replace((10**6).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError):
        fetch(tmp_path / "a.zip", data, max_bytes=500_000)
    assert left(data) == []


def test_headers_that_are_bombs_are_refused(tmp_path, data):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 10**9  # would be read into memory whole
    endless = tarfile.TarInfo("x")
    endless.type = tarfile.XGLTYPE
    for content in (header.tobuf(), endless.tobuf() * 20_000):  # each of the second calls for the next
        (tmp_path / "a.tar.gz").write_bytes(gzip.compress(content + tar_of(PHOTOS.items())))
        with pytest.raises(ArchiveError, match="is damaged"):
            fetch(tmp_path / "a.tar.gz", data)
        assert left(data) == []


def test_what_goes_on_behind_the_end_is_refused(tmp_path, data):
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(tar_of(PHOTOS.items()) + bytes(10**7)))
    with pytest.raises(ArchiveError, match="too much data after its last entry"):
        fetch(tmp_path / "a.tar.gz", data, max_bytes=10**6)


def test_a_full_disk_leaves_nothing(tmp_path, data, monkeypatch):
    (tmp_path / "a.zip").write_bytes(packed("zip"))
    with monkeypatch.context() as patch:
        patch.setattr(archive.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
        with pytest.raises(InputError, match=r"needs 24,000 bytes unpacked, but only 1,000 are free at"):
            fetch(tmp_path / "a.zip", data)
    with monkeypatch.context() as patch:

        def sync():
            raise OSError(28, "No space left on device")

        patch.setattr(os, "sync", sync)
        with pytest.raises(InputError, match="no space left on the disk"):
            fetch(tmp_path / "a.zip", data)
    assert left(data) == []
    assert len(class_folders(fetch(tmp_path / "a.zip", data))) == 3


def test_a_process_that_was_killed_leaves_no_finished_folder(tmp_path, data):
    """The folder of an interrupted extraction is never used, and the next extraction removes it."""
    path = tmp_path / "a.tar.gz"
    path.write_bytes(packed("tar.gz"))
    target = f"a-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    script = (
        "import os, sys; from bears_tl.photos.fetch import fetch; os.sync = lambda: os._exit(9);"
        "fetch(sys.argv[1], sys.argv[2])"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path), str(data)]).returncode == 9
    assert left(data)[0].endswith(".part") and not (data / target).exists()
    assert len(class_folders(fetch(path, data))) == 3
    assert [entry.name for entry in data.iterdir() if not entry.name.endswith(".lock")] == [target]


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


# --- other sources ------------------------------------------------------------------------------------------------


def test_a_folder_is_used_where_it_is(tmp_path, data):
    for name in PHOTOS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "bear_photos" / ".cache").mkdir()
    (tmp_path / "bear_photos" / "notes.txt").write_text("notes")
    assert fetch(tmp_path / "bear_photos", data) == tmp_path / "bear_photos"
    data.rmdir()
    assert fetch(tmp_path, data) == tmp_path / "bear_photos"
    assert fetch(tmp_path / "bear_photos" / "..", data).samefile(tmp_path / "bear_photos")


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
        folder.mkdir()

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
        (ArchiveError, "leads out of it", {"content": packed("zip", [("../x", b"x")])}),
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
