"""Archives as people bring them: what can be used is unpacked, what cannot is named, nothing is written outside."""

import gzip
import io
import os
import random
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib

import pytest

from bears_tl.errors import InputError
from bears_tl.photos import archive, left_out
from bears_tl.photos.archive import ArchiveError, extract
from bears_tl.photos.fetch import fetch
from bears_tl.photos.layout import class_folders

from .packing import CLASSES, PHOTOS, left, packed, special, tar_of, zip_of, zip_special

GOOD = [(f"{name}/1.jpg", name.encode()) for name in CLASSES]


def files_of(folder):
    """Return the content of every file in a folder, by path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unpacked(tmp_path, content, **options):
    """Unpack an archive; return its files, the rows that were left out, and the guessed encodings."""
    (tmp_path / "archive").write_bytes(content)
    guessed = extract(tmp_path / "archive", tmp_path / "folder", **options)
    return files_of(tmp_path / "folder"), left_out.read(tmp_path / "folder"), guessed


# --- names --------------------------------------------------------------------------------------------------------


def raw_zip(raw, field=b""):
    """Make a zip of one file whose name is these bytes, without the UTF-8 flag."""
    info = zipfile.ZipInfo("N" * len(raw))
    info.extra = field
    return zip_of([(info, b"x")]).replace(b"N" * len(raw), raw)


def unicode_path(raw, name):
    """Make Info-ZIP's Unicode Path field for a name that is stored as `raw`."""
    name = name.encode()
    return struct.pack("<HHBL", 0x7075, 5 + len(name), 1, zlib.crc32(raw)) + name


OLD, NEW = "Bär/é.jpg".encode("cp437"), "Bär/é.jpg".encode()
JAPANESE = "写真/表.jpg".encode("cp932")  # its second-last character ends in a byte that is a backslash in cp437
NAMES = {
    "flag": (zip_of([("Bär/é.jpg", b"x")]), "Bär/é.jpg", None),
    "ascii": (raw_zip(b"Bear/1.jpg"), "Bear/1.jpg", None),
    "utf-8": (raw_zip(NEW), "Bär/é.jpg", "UTF-8"),
    "cp437": (raw_zip(OLD), "Bär/é.jpg", "cp437"),
    "field": (raw_zip(OLD, b"UT\x01\x00\x00" + unicode_path(OLD, "熊/é.jpg")), "熊/é.jpg", None),
    "field of another name": (raw_zip(OLD, unicode_path(b"other", "熊/é.jpg")), "Bär/é.jpg", "cp437"),
    "field before utf-8": (raw_zip(NEW, unicode_path(NEW, "熊/é.jpg")), "熊/é.jpg", None),
    "japanese": (raw_zip(JAPANESE), JAPANESE.decode("cp437"), "cp437"),
    "backslashes": (raw_zip(b"Fotos\\B\x84r\\1.jpg"), "Fotos/Bär/1.jpg", "cp437"),
    "mixed": (raw_zip(b"photos/Bear\\1.jpg"), "photos/Bear/1.jpg", None),
}


@pytest.mark.parametrize("case", NAMES)
def test_a_name_in_a_zip_is_decoded(tmp_path, case):
    content, name, encoding = NAMES[case]
    assert unpacked(tmp_path, content) == ({name: b"x"}, [], {encoding: name} if encoding else {})


def test_a_guess_is_told_once_with_an_example(tmp_path, data, capsys):
    content = zip_of([("NNN/1.jpg", b"x"), ("NNN/2.jpg", b"x"), ("Panda/1.jpg", b"x")]).replace(b"NNN", b"B\x84r")
    (tmp_path / "a.zip").write_bytes(content)
    fetch(tmp_path / "a.zip", data)
    (line,) = capsys.readouterr().err.splitlines()
    assert "they were read as cp437 (for example 'Bär/1.jpg')" in line
    fetch(tmp_path / "a.zip", data)
    assert capsys.readouterr().err == ""


def test_a_zip_of_powershell_is_unpacked(tmp_path):
    entries = []
    for name, content in [*((f"bear_photos/{name}/", b"") for name in CLASSES), *PHOTOS.items()]:
        info = zipfile.ZipInfo(name.replace("/", "\\"))
        info.create_system = 0
        entries.append((info, content))
    files, rows, guessed = unpacked(tmp_path, zip_of(entries))
    assert (files, rows, guessed) == (PHOTOS, [], {})


def test_a_backslash_in_a_tar_is_a_character(tmp_path):
    files, rows, _ = unpacked(tmp_path, tar_of([("Bear/a\\b.jpg", b"x")]))
    assert (files, rows) == ({"Bear/a\\b.jpg": b"x"}, [])


TWINS = {"Bear/1.jpg": b"1", "bear/2.jpg": b"2", "Bear/1.JPG": b"3", "Bear/\u00e9": b"4", "Bear/e\u0301": b"5"}


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_names_that_differ_in_case_or_form_are_kept_where_the_disk_can(tmp_path, kind, monkeypatch):
    content = packed(kind, TWINS.items())
    assert unpacked(tmp_path, content)[:2] == (TWINS, [])

    def on_the_disk(path):
        """Return the path on a disk that ignores case and Unicode form."""
        inside = unicodedata.normalize("NFC", str(path.relative_to(tmp_path))).casefold()
        return tmp_path / inside

    def opened(path, mode):
        return open(on_the_disk(path) if mode == "xb" else path, mode)

    make_folder = os.mkdir
    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", lambda path, mode=0o777: make_folder(on_the_disk(path), mode))
        patch.setattr(archive, "open", opened, raising=False)
        extract(tmp_path / "archive", tmp_path / "second")
    assert list(files_of(tmp_path / "second").values()) in ([b"1", b"4"], [b"4", b"1"])
    taken = [{"name": list(TWINS)[index], "reason": "taken_name"} for index in (1, 2, 4)]
    assert left_out.read(tmp_path / "second") == taken


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_wrapping_folders_are_left_aside(tmp_path, data, levels):
    tops = ["/".join(f"level {index}" for index in range(level)) + "/" * bool(level) for level in range(levels + 1)]
    entries = [(f"{tops[-1]}{name}/1.jpg", b"x") for name in CLASSES]
    for top in tops:
        beside = ("readme.txt", "LICENSE", ".DS_Store", "__MACOSX/._1.jpg", ".git/config", "Thumbs.db")
        entries += [(f"{top}{name}", b"x") for name in beside]
    (tmp_path / "a.zip").write_bytes(zip_of(entries))
    folder = fetch(tmp_path / "a.zip", data)
    assert folder.name == f"level {levels - 1}"
    assert [path.name for path in class_folders(folder)] == CLASSES


# --- odd entries --------------------------------------------------------------------------------------------------

ODD_NAMES = [
    ("outside", ["/tmp/evil.jpg"]),
    ("outside", ["C:/evil.jpg"]),
    ("outside", ["C:\\evil.jpg"]),
    ("outside", ["\\evil.jpg"]),
    ("outside", ["\\\\host\\share\\evil.jpg"]),
    ("outside", ["../evil.jpg"]),
    ("outside", ["..\\..\\evil.jpg"]),
    ("outside", ["a\\../b.jpg"]),
    ("outside", ["Grizzly/../../evil.jpg", "Grizzly\\..\\..\\evil.jpg"]),
    ("taken_name", ["Grizzly/1.jpg", "./Grizzly//1.jpg"]),
    ("taken_name", ["Grizzly"]),
    ("taken_name", ["Grizzly/1.jpg/2.jpg"]),
    ("impossible_name", ["Grizzly/" + "n" * 256]),
    ("impossible_name", ["Grizzly/" + "ä" * 128]),
    ("impossible_name", ["/".join(["deep"] * 250) + "/1.jpg"[1:]]),
]


def zip_with(name=b"Grizzly/odd.jpg", flags=0, method=0):
    """Make a zip whose last entry has these flags and this method, in its header and in the directory."""
    content = bytearray(zip_of([*GOOD, (name.decode(), b"odd content")], zipfile.ZIP_STORED))
    for start in (content.index(name) - 30 + 6, content.rindex(name) - 46 + 8):
        content[start : start + 4] = struct.pack("<HH", flags, method)
    return bytes(content)


X, ODD = ["Grizzly/x"], ["Grizzly/odd.jpg"]
ODD_ENTRIES = [
    *[(reason, names, tar_of([*GOOD, *((name, b"evil") for name in names)])) for reason, names in ODD_NAMES],
    *[
        (reason, [name.replace("\\", "/") for name in names], zip_of([*GOOD, *((name, b"evil") for name in names)]))
        for reason, names in ODD_NAMES
    ],
    ("link", X, tar_of([special(tarfile.SYMTYPE), *GOOD])),
    ("link", X, tar_of([special(tarfile.LNKTYPE, linkname="Grizzly/1.jpg", size=10**8), *GOOD])),
    ("special_file", X, tar_of([special(tarfile.CHRTYPE), *GOOD])),
    ("special_file", X, tar_of([special(tarfile.BLKTYPE), *GOOD])),
    ("special_file", X, tar_of([special(tarfile.FIFOTYPE), *GOOD])),
    ("special_file", X, tar_of([special(b"Q"), *GOOD])),
    ("special_file", X, tar_of([special(tarfile.GNUTYPE_SPARSE), *GOOD])),
    ("link", X, zip_of([(zip_special(stat.S_IFLNK | 0o777), b"/etc/passwd"), *GOOD])),
    ("special_file", X, zip_of([(zip_special(stat.S_IFCHR | 0o666), b""), *GOOD])),
    ("special_file", X, zip_of([(zip_special(stat.S_IFIFO | 0o666), b""), *GOOD])),
    ("impossible_name", ["Grizzly/a\0b.jpg"], zip_with(b"Grizzly/aNb.jpg").replace(b"aNb", b"a\0b")),
    ("encrypted", ODD, zip_with(flags=0x1)),
    ("encrypted", ODD, zip_with(flags=0x41, method=99)),
    ("compression", ODD, zip_with(method=97)),
    ("compression", ODD, zip_with(flags=0x20)),
    ("damaged", ODD, zip_with().replace(b"odd content", b"0dd content")),
    ("damaged", ODD, zip_with(method=zipfile.ZIP_DEFLATED)),
    ("damaged", ODD, zip_with(method=zipfile.ZIP_BZIP2)),
    ("damaged", ODD, zip_with(method=zipfile.ZIP_LZMA)),
    ("damaged", ODD, zip_with().replace(b"odd.jpg", b"0dd.jpg", 1)),  # the header and the directory differ
]


@pytest.mark.parametrize(("reason", "names", "content"), ODD_ENTRIES, ids=range(len(ODD_ENTRIES)))
def test_an_odd_entry_is_left_out_and_named(tmp_path, data, reason, names, content, capsys):
    (tmp_path / "photos").write_bytes(content)
    before = sorted(tmp_path.parent.iterdir()), sorted(tmp_path.iterdir())
    folder = fetch(tmp_path / "photos", data)
    assert files_of(folder) == dict(GOOD)
    assert left_out.read(folder) == [{"name": name[: archive.MAX_PATH_BYTES], "reason": reason} for name in names]
    assert (sorted(tmp_path.parent.iterdir()), sorted(tmp_path.iterdir())) == before, "something was written outside"
    assert not os.path.exists("/tmp/evil.jpg")
    lines = capsys.readouterr().err.splitlines()
    count, first = len(names), "first: " * (len(names) > 1) + repr(names[0][:100])
    assert len(lines) == 2 and lines[0].startswith(f"{count} ") and lines[0].endswith(f" not unpacked ({first})")
    assert lines[1] == f"{left_out.table_of(folder)} lists what was not unpacked"


def test_each_reason_is_told_in_one_line_again_at_each_run(tmp_path, data, capsys):
    links = [special(tarfile.SYMTYPE, f"Grizzly/link {index}") for index in range(3)]
    (tmp_path / "a.tar").write_bytes(tar_of([*links, *GOOD, ("../evil.jpg", b"x")]))
    folder = fetch(tmp_path / "a.tar", data)
    lines = [
        "3 links were not unpacked (first: 'Grizzly/link 0')",
        "1 path that would lead out of the folder was not unpacked ('../evil.jpg')",
        f"{left_out.table_of(folder)} lists what was not unpacked",
    ]
    assert capsys.readouterr().err.splitlines() == lines
    fetch(tmp_path / "a.tar", data)
    assert capsys.readouterr().err.splitlines() == lines
    fetch(folder, data)
    assert capsys.readouterr().err.splitlines() == lines


def test_a_skipped_entry_counts_as_unpacked(tmp_path):
    """Otherwise hours could pass with reading what nobody gets."""
    content = gzip.compress(tar_of([("../evil.jpg", bytes(10**6)), *GOOD]))
    with pytest.raises(ArchiveError, match="a decompression bomb"):
        unpacked(tmp_path, content, max_bytes=500_000)


def test_rare_but_valid_zips_are_unpacked(tmp_path):
    """Streamed, so sizes follow the content; zip64 throughout; names with a space or a dot at their end."""

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def tell(self):
            raise io.UnsupportedOperation

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("top . /Bear./1.jpg", "top . /Bear /1.jpg"):
            with file.open(name, "w", force_zip64=True) as entry:
                entry.write(b"x")
        file.writestr("top . /empty/", b"")
        folder = zipfile.ZipInfo("top . /DOS")  # marked as a folder only by its attribute
        folder.create_system, folder.external_attr = 0, 0x10
        file.writestr(folder, b"")
        file.writestr("top . /DOS/1.jpg", b"x")
    files, rows, guessed = unpacked(tmp_path, pipe.getvalue())
    assert list(files.values()) == [b"x"] * 3 and (rows, guessed) == ([], {})
    assert (tmp_path / "folder/top . /empty").is_dir()


def test_archives_within_are_just_files(tmp_path, data):
    bomb = gzip.compress(bytes(10**6))
    (tmp_path / "a.tar").write_bytes(tar_of([("Grizzly/more.tar.gz", bomb), ("Panda/1.jpg", b"x")]))
    assert (fetch(tmp_path / "a.tar", data) / "Grizzly" / "more.tar.gz").read_bytes() == bomb


# --- archives that are unusable as a whole ------------------------------------------------------------------------

REFUSED = [
    ("no file that can be unpacked: 1 path that would lead out", "tar", tar_of([("../evil.jpg", b"x")])),
    (
        "no file that can be unpacked: 1 link was not",
        "zip",
        zip_of([(zip_special(stat.S_IFLNK), b"/etc")]),
    ),
    ("expected one folder of photos per class; 1 link was not", "tar", tar_of([("1", b"x"), special(tarfile.SYMTYPE)])),
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


@pytest.mark.parametrize(("words", "kind", "content"), REFUSED, ids=range(len(REFUSED)))
def test_an_unusable_archive_is_refused(tmp_path, data, words, kind, content):
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
    content = zip_of([("Grizzly/", b""), *GOOD]).replace(b"PK\x03\x04\x14\0\0", b"PK\x03\x04\x14\0\x01")
    content = content.replace(b"PK\x01\x02\x14\x03\x14\0\0", b"PK\x01\x02\x14\x03\x14\0\x01")
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
