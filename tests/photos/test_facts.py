"""A file is read once; later intakes find it in the cache by its status and give the same result."""

import contextlib
import errno
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from bears_tl.photos import facts, image, intake
from bears_tl.photos.facts import FactCache, read_facts
from bears_tl.photos.intake import take_in


@pytest.fixture
def folder(write_photos):
    """Return a folder with photos and with files whose content is not a photo."""
    folder = write_photos(Grizzly=6, Panda=6)
    frames = [Image.effect_noise((70, 70), 80) for _ in range(3)]
    frames[0].save(folder / "Panda" / "moves.gif", save_all=True, append_images=frames[1:])
    frames[1].resize((20, 30)).save(folder / "Panda" / "small.png")
    (folder / "Panda" / "page.jpg").write_text("<html>")
    (folder / "Panda" / "cut.png").write_bytes((folder / "Panda" / "0.png").read_bytes()[:4000])
    return folder


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "intake.sqlite"


@pytest.fixture
def reads(monkeypatch):
    """Return a list that grows by the name of each file that an intake reads."""
    names = []

    def listed(path, *limits):
        names.append(path.name)
        return read_facts(path, *limits)

    monkeypatch.setattr(intake, "read_facts", listed)
    return names


def taken(folder, path, **settings):
    with contextlib.closing(FactCache(path)) as cache:
        return take_in(folder, cache=cache, **settings)


def same(one, two):
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


def test_a_second_intake_reads_no_file(folder, path, monkeypatch):
    expected = take_in(folder)
    assert expected.per_reason() == {"animated": 1, "not_an_image": 1, "too_small": 1, "truncated": 1}
    assert taken(folder, path) == expected

    def refuse(path, *_):
        raise AssertionError(f"{path} is read")

    monkeypatch.setattr(intake, "read_facts", refuse)
    monkeypatch.setattr(facts, "open", refuse, raising=False)
    monkeypatch.setattr(Image, "open", refuse)
    assert taken(folder, path) == expected


@pytest.mark.parametrize("name", ["huge.jpg", "huge.png", "huge_alpha.png"])
def test_a_huge_photo_has_nearly_the_same_hashes_and_is_found_to_be_cut_off(name, tmp_path, monkeypatch):
    spots = Image.effect_noise((48, 32), 80).resize((3600, 2400))
    spots.convert("RGBA" if "alpha" in name else "RGB").save(tmp_path / name)
    whole = read_facts(tmp_path / name)
    monkeypatch.setattr(facts, "HUGE_PX", 10**6)
    monkeypatch.setattr(image, "HUGE_PX", 10**6)
    shrunk = read_facts(tmp_path / name)
    assert np.bitwise_count(whole["hashes"] ^ shrunk["hashes"]).sum(axis=1).max() <= 8  # of 256
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:-20])
    assert read_facts(tmp_path / name)["reason"] == "truncated"


def test_other_limits_need_no_file_to_be_read_again(folder, path, reads):
    taken(folder, path)
    reads.clear()
    loose = taken(folder, path, min_side_px=20, allow_animated=True)
    assert reads == [] and loose == take_in(folder, min_side_px=20, allow_animated=True)
    assert loose.per_reason() == {"not_an_image": 1, "truncated": 1}


def test_another_limit_of_the_size_counts_for_files_that_are_known(folder, path, reads):
    Image.effect_noise((100, 200), 80).save(folder / "Panda" / "large.png")
    for limit, expected in ((0.02, None), (0.019, "too_large"), (0.02, None)):
        rows = {row["path"]: row.get("reason") for row in taken(folder, path, max_megapixels=limit).quarantined}
        assert rows.get("Panda/large.png") == expected
    reads.clear()
    taken(folder, path, max_megapixels=0.02)
    assert reads == []


def grow(folder):
    """Append some bytes and restore the file's modification time."""
    file = folder / "Panda" / "2.png"
    status = file.stat()
    file.write_bytes(file.read_bytes() + b"more")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    return ["2.png"]


def overwrite(folder):
    """Overwrite the file with different bytes of the same number."""
    file = folder / "Panda" / "2.png"
    status = file.stat()
    file.write_bytes(b"x" * status.st_size)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    return ["2.png"]


def overwrite_and_hide_it(folder):
    """Overwrite the file with different bytes of the same number and restore its modification time, as exiftool -P."""
    file = folder / "Panda" / "2.png"
    status = file.stat()
    file.write_bytes(b"x" * status.st_size)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    return ["2.png"]


def replace(folder):
    os.replace(shutil.copy2(folder / "Grizzly" / "1.png", folder / "new"), folder / "Panda" / "2.png")
    return ["2.png"]


def add(folder):
    Image.effect_noise((80, 80), 80).save(folder / "Grizzly" / "new.png")
    return ["new.png"]


def copy(folder):
    shutil.copy2(folder / "Panda" / "0.png", folder / "Panda" / "copy.png")
    return ["copy.png"]


def remove(folder):
    (folder / "Panda" / "0.png").unlink()
    return []


@pytest.mark.parametrize("change", [grow, overwrite, overwrite_and_hide_it, replace, add, copy, remove])
def test_only_what_changed_is_read(change, folder, path, reads):
    before = taken(folder, path)
    changed = change(folder)
    reads.clear()
    after = taken(folder, path)
    assert sorted(reads) == changed
    assert after == take_in(folder) != before


def rename(folder):
    (folder / "Panda" / "0.png").rename(folder / "Panda" / "new name.png")
    return "Panda/new name.png", ["new name.png"]


def move_to_another_class(folder):
    (folder / "Panda" / "0.png").rename(folder / "Grizzly" / "from panda.png")
    return "Grizzly/from panda.png", ["from panda.png"]


def rename_the_class(folder):
    (folder / "Panda").rename(folder / "Giant panda")
    return "Giant panda/0.png", []


@pytest.mark.parametrize("move", [rename, move_to_another_class, rename_the_class])
def test_a_file_that_was_moved_has_its_new_path_and_class_and_only_it_is_read_again(move, folder, path, reads):
    before = {photo["path"]: photo for photo in taken(folder, path).photos}
    new, changed = move(folder)
    reads.clear()
    after = taken(folder, path)
    assert reads == changed and after == take_in(folder)
    moved = next(photo for photo in after.photos if photo["path"] == new)
    assert moved == before["Panda/0.png"] | {"path": new, "class_name": new.split("/")[0]}


def test_an_intake_that_was_killed_goes_on_where_it_was(folder, path, reads, monkeypatch):
    def killed(path, *limits):
        if path.parent.name == "Panda" and path.name == "2.png":
            raise KeyboardInterrupt
        return read_facts(path, *limits)

    expected = take_in(folder)
    reads.clear()
    with monkeypatch.context() as patched:
        patched.setattr(intake, "read_facts", killed)
        patched.setattr(intake, "_SAVE_SECONDS", 0)
        with pytest.raises(KeyboardInterrupt):
            take_in(folder, cache=FactCache(path))  # which nobody closes
    assert taken(folder, path) == expected
    assert sorted(reads) == ["2.png", "3.png", "4.png", "5.png", "cut.png", "moves.gif", "page.jpg", "small.png"]


SLOW_INTAKE = """
import contextlib, json, sys, time
from bears_tl.photos import facts, intake
def slowly(path, *limits):
    time.sleep(1000 if path.match(sys.argv[3]) else 0.02)
    return facts.read_facts(path, *limits)
intake.read_facts, intake._SAVE_SECONDS = slowly, 0
with contextlib.closing(facts.FactCache(sys.argv[2])) as cache:
    taken = intake.take_in(sys.argv[1], cache=cache)
print(json.dumps([taken.photos, taken.quarantined]))
"""


def start(folder, path, stuck_at="nothing"):
    command = [sys.executable, "-c", SLOW_INTAKE, str(folder), str(path), stuck_at]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def count_rows(path):
    with contextlib.closing(sqlite3.connect(path)) as database, contextlib.suppress(sqlite3.OperationalError):
        return database.execute("SELECT COUNT(*) FROM facts").fetchone()[0]
    return 0  # no table yet


@pytest.mark.slow
def test_a_process_that_was_killed_leaves_what_it_read(write_photos, path, reads):
    folder = write_photos(Grizzly=40, Panda=40)
    expected = take_in(folder)
    reads.clear()
    path.parent.mkdir()
    deadline = time.monotonic() + 60
    with start(folder, path, stuck_at="Panda/20.png") as process:
        while count_rows(path) < 53 and time.monotonic() < deadline:  # Grizzly; Panda/0.png, 1.png, 10.png ... 2.png
            time.sleep(0.05)
        process.kill()
    assert process.returncode == -signal.SIGKILL and count_rows(path) == 53
    assert taken(folder, path) == expected and len(reads) == 27


@pytest.mark.slow
@pytest.mark.parametrize("before", ["nothing", "a damaged cache"])
def test_processes_at_work_at_once_all_end_right(before, write_photos, path):
    folder = write_photos(Grizzly=20, Panda=20)
    if before != "nothing":
        path.parent.mkdir()
        path.write_bytes(b"damaged" * 2000)
    expected = take_in(folder)
    processes = [start(folder, path) for _ in range(4)]
    for process in processes:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert json.loads(output.splitlines()[-1]) == [expected.photos, expected.quarantined]
    assert count_rows(path) == 40


def test_an_intake_at_work_keeps_no_other_from_writing(folder, path):
    one, two = folder / "Panda" / "0.png", folder / "Panda" / "1.png"
    with contextlib.closing(FactCache(path)) as busy, contextlib.closing(FactCache(path)) as other:
        busy.put(one.stat(), read_facts(one))
        other._database.execute("PRAGMA busy_timeout = 0")  # milliseconds; it would wait a minute
        other.put(two.stat(), read_facts(two))
        other.save()
        assert other.get(two.stat()) is not None


def of_another_program(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE facts (planet TEXT, moons INTEGER)")
        database.execute("INSERT INTO facts VALUES ('Mars', 2)")
        database.commit()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(bytes(9000)),
        lambda path: path.write_text("sha256,from,to\n" * 1000),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(path.read_bytes()[:4096] + bytes(path.stat().st_size - 4096)),
    ],
)
def test_a_damaged_cache_is_named_and_started_anew(damage, folder, path, reads, capsys):
    expected = taken(folder, path)
    damage(path)
    reads.clear()
    assert taken(folder, path) == expected and len(reads) == 16
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and str(path) in lines[0] and "damaged" in lines[0]
    reads.clear()
    assert taken(folder, path) == expected and reads == []


@pytest.mark.parametrize("leave", [lambda path: path.touch(), of_another_program])
def test_an_empty_file_or_a_table_of_another_program_is_no_hindrance(leave, folder, path, reads):
    path.parent.mkdir()
    leave(path)
    expected = taken(folder, path)
    reads.clear()
    assert taken(folder, path) == expected and reads == []


def test_bytes_changed_in_the_cache_cost_a_reading_and_never_change_a_fact(folder, path, tmp_path):
    taken(folder, path)
    good, files = path.read_bytes(), sorted(folder.rglob("*.png"))
    expected = {file: read_facts(file) for file in files}
    rng = np.random.default_rng(0)
    found = 0
    for i in range(60):
        content = bytearray(good)
        place = int(rng.integers(len(good) - 64))
        content[place : place + 64] = rng.bytes(64)
        damaged = tmp_path / f"{i}.sqlite"
        damaged.write_bytes(content)
        with contextlib.closing(FactCache(damaged)) as cache:
            for file in files:
                known = cache.get(file.stat())
                assert known is None or same(known, expected[file])
                found += known is not None
                cache.put(file.stat(), expected[file])
    assert 0.2 < found / (60 * len(files)) < 0.98


def test_a_program_that_judges_otherwise_reads_again(folder, path, reads, monkeypatch):
    taken(folder, path)
    for module, name in ((facts, "VERSION"), (facts.PIL, "__version__")):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, "another")
            for expected in (16, 0):
                reads.clear()
                taken(folder, path)
                assert len(reads) == expected


def test_a_program_that_judges_otherwise_does_not_mislead_one_at_work(folder, path, monkeypatch):
    file = folder / "Panda" / "0.png"
    with contextlib.closing(FactCache(path)) as cache:
        monkeypatch.setattr(facts, "VERSION", "another")
        with contextlib.closing(FactCache(path)) as other:
            other.put(file.stat(), read_facts(file))
            other.save()
            assert other.get(file.stat()) is not None and cache.get(file.stat()) is None


def test_a_cache_that_cannot_be_there_is_refused(tmp_path, refused):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "intake.sqlite", tmp_path):
        with refused(str(path), "could not be written", "of its folder"):
            FactCache(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("sealed", ["folder", "file"])
def test_a_cache_that_must_not_be_written_is_refused(sealed, path, refused):
    FactCache(path).close()
    (path if sealed == "file" else path.parent).chmod(0o555)
    try:
        with refused(str(path), "could not be written"):
            FactCache(path)
    finally:
        path.parent.chmod(0o755)


def test_a_full_disk_costs_the_next_intake_time_and_nothing_else(folder, path, reads):
    expected = take_in(folder)
    with contextlib.closing(FactCache(path)) as cache:
        pages = cache._database.execute("PRAGMA page_count").fetchone()[0]
        cache._database.execute(f"PRAGMA max_page_count = {pages}")
        assert take_in(folder, cache=cache) == expected
    assert taken(folder, path) == expected
    reads.clear()
    assert taken(folder, path) == expected and reads == []


FAULTS = [PermissionError(errno.EACCES, "Permission denied"), OSError(errno.EIO, "Input/output error"), MemoryError()]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("where", ["open", "perceptual_hashes"])
def test_a_fault_of_the_machine_is_not_remembered(fault, where, folder, path, monkeypatch):
    file = folder / "Panda" / "0.png"

    def fail(*_):
        raise fault

    with contextlib.closing(FactCache(path)) as cache:
        with monkeypatch.context() as patched:
            patched.setattr(facts, where, fail, raising=False)
            failed = read_facts(file)
            assert failed["reason"] == "unreadable" and type(fault).__name__ in failed["detail"]
            cache.put(file.stat(), failed)
        cache.save()
        assert cache.get(file.stat()) is None


def test_after_a_fault_of_the_machine_only_that_file_is_read_again(folder, path, reads, monkeypatch):
    def fail(path, mode):
        if path.name == "1.png" and path.parent.name == "Panda":
            raise FAULTS[1]
        return open(path, mode)

    with monkeypatch.context() as patched:
        patched.setattr(facts, "open", fail, raising=False)
        assert {row["path"]: row["reason"] for row in taken(folder, path).quarantined}["Panda/1.png"] == "unreadable"
    reads.clear()
    assert "Panda/1.png" in [photo["path"] for photo in taken(folder, path).photos] and reads == ["1.png"]


def test_a_pipe_does_not_hold_up_the_intake(folder, path):
    pipe = folder / "Panda" / "pipe.jpg"
    os.mkfifo(pipe)
    came = []
    thread = threading.Thread(target=lambda: came.append(taken(folder, path)), daemon=True)
    thread.start()
    thread.join(30)
    os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))  # who waits at its other end goes on
    thread.join(30)
    rows = {row["path"]: row for row in came[0].quarantined}
    assert rows["Panda/pipe.jpg"]["reason"] == "not_an_image" and "pipe" in rows["Panda/pipe.jpg"]["detail"]


def test_facts_come_back_as_they_were_put(folder, path):
    detail = "odd: \udcff\x00\n'\"; DROP TABLE facts"
    hashes = np.random.default_rng(0).integers(0, 256, (27, 32), dtype=np.uint8)
    for number, kept in enumerate(
        [
            {"reason": "", "detail": "", "bytes": 2**40, "sha256": "a" * 64, "frames": 1, "hashes": hashes},
            {"reason": "unreadable", "detail": detail, "bytes": 1, "sha256": "b" * 64},
        ]
    ):
        status = (folder / "Panda" / f"{number}.png").stat()
        with contextlib.closing(FactCache(path)) as cache:
            cache.put(status, kept)
        with contextlib.closing(FactCache(path)) as cache:
            assert same(cache.get(status), kept)
