"""Every file gets a verdict, nothing is lost, and a folder that cannot be trained on is refused in one line."""

import os
import shutil
import struct
import threading
import tracemalloc
import types
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from bears_tl.files import read_csv, sha256_of, write_csv
from bears_tl.photos import facts
from bears_tl.photos.intake import PHOTO_COLUMNS, QUARANTINE_COLUMNS, REASONS, take_in
from bears_tl.photos.sample import paint


@pytest.fixture
def folder(write_photos):
    return write_photos(Grizzly=5, Panda=6)


def verdict(folder, path, **limits):
    """Take in the folder and give (reason, detail) of one file; ("ok", "") for a photo."""
    taken = take_in(folder, **limits)
    assert {"path"} <= set(taken.photos[0])
    rows = {row["path"]: row for row in taken.photos + taken.quarantined}
    return rows[path].get("reason", "ok"), rows[path].get("detail", "")


def noise(path, size=(300, 300), **save):
    Image.effect_noise(size, 80).convert("RGB").save(path, **save)
    return path


def cut(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def test_good_photos_are_rows_with_all_columns(folder):
    taken = take_in(folder)
    assert taken.per_class() == {"Grizzly": 5, "Panda": 6} and taken.quarantined == []
    assert taken.photos[0] == {
        "path": "Grizzly/0.png",
        "class_name": "Grizzly",
        "sha256": sha256_of(folder / "Grizzly" / "0.png"),
        "bytes": (folder / "Grizzly" / "0.png").stat().st_size,
        "format": "PNG",
        "mode": "RGB",
        "width": 64,
        "height": 64,
        "group": sha256_of(folder / "Grizzly" / "0.png")[:16],
        "given_split": "",
    }
    assert taken.notes() == []


@pytest.mark.parametrize("content", [b"<!doctype html><html>404</html>", b"\x00" * 1000, b"\xff\xd8\xff", b"bears"])
def test_what_is_no_image_is_quarantined_whatever_its_name(content, folder):
    (folder / "Panda" / "page.jpg").write_bytes(content)
    assert verdict(folder, "Panda/page.jpg")[0] == "not_an_image"


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png", "cut.webp", "cut.bmp", "cut.tif", "cut.gif"])
def test_a_photo_that_is_cut_off_is_quarantined(name, folder):
    cut(noise(folder / "Panda" / name))
    reason, detail = verdict(folder, f"Panda/{name}")
    assert reason in (
        ("truncated",) if name.endswith(("jpg", "png", "bmp")) else ("truncated", "unreadable", "not_an_image")
    )
    assert detail and "\n" not in detail


def test_a_png_with_a_broken_middle_is_quarantined(folder):
    path = noise(folder / "Panda" / "broken.png")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert verdict(folder, "Panda/broken.png")[0] == "damaged"


def test_an_empty_file_is_quarantined(folder):
    (folder / "Panda" / "empty.jpg").touch()
    assert verdict(folder, "Panda/empty.jpg")[0] == "empty"


@pytest.mark.parametrize(("size", "expected"), [((64, 64), "ok"), ((63, 500), "too_small"), ((500, 63), "too_small")])
def test_a_photo_of_less_than_64_px_is_quarantined(size, expected, folder):
    noise(folder / "Panda" / "small.png", size)
    reason, detail = verdict(folder, "Panda/small.png")
    assert reason == expected and (expected == "ok" or f"{size[0]} x {size[1]} px" in detail)


def test_a_photo_beside_the_class_folders_is_quarantined(folder):
    noise(folder / "stray.jpg")
    assert verdict(folder, "stray.jpg")[0] == "wrong_place"


def test_of_copies_in_one_class_the_first_by_path_is_kept(folder):
    (folder / "Panda" / "below").mkdir()
    for name in ("z.png", "!.png", "below/a.png"):
        shutil.copy(folder / "Panda" / "3.png", folder / "Panda" / name)
    taken = take_in(folder)
    assert next(row["path"] for row in taken.photos if row["class_name"] == "Panda") == "Panda/!.png"
    assert {row["path"]: (row["reason"], row["detail"]) for row in taken.quarantined} == {
        f"Panda/{name}": ("duplicate", "an exact copy of Panda/!.png") for name in ("3.png", "below/a.png", "z.png")
    }


def test_one_photo_in_two_classes_is_quarantined_in_both(folder):
    noise(folder / "Grizzly" / "which.png")
    for path in ("Panda/which.png", "Panda/again.png"):
        shutil.copy(folder / "Grizzly" / "which.png", folder / path)
    taken = take_in(folder)
    assert [(row["path"], row["reason"]) for row in taken.quarantined] == [
        (path, "conflicting_label") for path in ("Grizzly/which.png", "Panda/again.png", "Panda/which.png")
    ]
    assert all("Grizzly, Panda" in row["detail"] for row in taken.quarantined)


@pytest.mark.parametrize(("height", "expected"), [(125, "ok"), (126, "too_large")])
def test_a_photo_that_would_fill_the_memory_is_quarantined(height, expected, folder):
    noise(folder / "Panda" / "large.png", (80, height))
    assert verdict(folder, "Panda/large.png", max_megapixels=0.01)[0] == expected


def test_a_jpeg_that_is_small_enough_at_reduced_size_is_taken(folder):
    noise(folder / "Panda" / "large.jpg", (1600, 1600))
    assert verdict(folder, "Panda/large.jpg", max_megapixels=0.2) == ("ok", "")
    assert verdict(folder, "Panda/large.jpg", max_megapixels=0.1)[0] == "too_large"


def test_a_header_that_claims_a_huge_photo_is_refused_before_it_is_decoded(folder):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (folder / "Panda" / "bomb.png").write_bytes(bomb)
    assert verdict(folder, "Panda/bomb.png")[0] == "too_large"


def test_a_photo_is_judged_by_its_content_not_by_its_name(folder):
    for name, format in {"a.jpg": "PNG", "b.png": "JPEG", "c": "WEBP", "d.html": "GIF", "e.JPEG": "BMP"}.items():
        noise(folder / "Panda" / name, format=format)
        assert verdict(folder, f"Panda/{name}") == ("ok", "")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_every_mode_is_taken(mode, folder):
    name = f"Panda/mode.{'jpg' if mode == 'CMYK' else 'png'}"
    image = Image.effect_noise((80, 80), 80)
    (Image.new(mode, (80, 80), 5) if mode == "I;16" else image.convert(mode)).save(folder / name)
    row = next(row for row in take_in(folder).photos if row["path"] == name)
    assert row["mode"] == mode


@pytest.mark.parametrize(
    "name",
    ["with space.jpg", "Bär 熊 🐻.jpg", "new\nline.jpg", 'q"u,ote.jpg', os.fsdecode(b"\xff\xfe.jpg"), "-rf", "~"],
)
def test_odd_names_are_taken_and_come_back_from_the_tables(name, folder, tmp_path):
    try:
        noise(folder / "Panda" / name, format="JPEG")
    except OSError:
        pytest.skip(f"this file system has no name {name!r}")
    (folder / "Grizzly" / f"bad {name}").write_bytes(b"no photo")
    taken = take_in(folder)
    for columns, rows in ((PHOTO_COLUMNS, taken.photos), (QUARANTINE_COLUMNS, taken.quarantined)):
        write_csv(tmp_path / "table.csv", columns, rows)
        again = read_csv(tmp_path / "table.csv", columns)
        assert again == [{column: str(row[column]) for column in columns} for row in rows]
    assert f"Panda/{name}" in [row["path"] for row in taken.photos]
    assert [row["path"] for row in taken.quarantined] == [f"Grizzly/bad {name}"]


def test_hidden_things_are_no_classes_and_no_photos(folder):
    for hidden in (".git", "__MACOSX", "Panda/.cache"):
        (folder / hidden).mkdir()
        noise(folder / hidden / "photo.jpg")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png"):
        (folder / "Panda" / name).write_bytes(b"hidden")
    taken = take_in(folder)
    assert taken.per_class() == {"Grizzly": 5, "Panda": 6} and taken.quarantined == []


def test_folders_in_a_class_folder_belong_to_the_class(folder):
    (folder / "Panda" / "zoo" / "2019").mkdir(parents=True)
    noise(folder / "Panda" / "zoo" / "2019" / "photo.jpg")
    row = next(row for row in take_in(folder).photos if "zoo" in row["path"])
    assert (row["path"], row["class_name"]) == ("Panda/zoo/2019/photo.jpg", "Panda")


def test_no_file_is_lost_moved_or_changed(folder):
    noise(folder / "stray.jpg")
    noise(folder / "Panda" / "small.jpg", (10, 10))
    (folder / "Panda" / "page.jpg").write_text("<html>")
    (folder / "Panda" / "nowhere.jpg").symlink_to("absent.jpg")
    cut(noise(folder / "Panda" / "cut.jpg"))
    shutil.copy(folder / "Panda" / "0.png", folder / "Panda" / "again.png")
    shutil.copy(folder / "Panda" / "1.png", folder / "Grizzly" / "which.png")
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    taken = take_in(folder)
    files = sorted(path.relative_to(folder).as_posix() for path in before if not path.is_dir())
    assert sorted(row["path"] for row in taken.photos + taken.quarantined) == files
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before
    for rows in (taken.photos, taken.quarantined):
        assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)


def test_it_finds_the_same_twice(folder):
    shutil.copy(folder / "Panda" / "0.png", folder / "Panda" / "again.png")
    assert take_in(folder) == take_in(folder)


def test_warning_filters_are_changed_in_no_thread_but_the_main_one(folder, monkeypatch):
    # `warnings.catch_warnings` works on the whole process: where threads overlap, one leaves its filter behind for good
    threads = set()

    class Watched(warnings.catch_warnings):
        def __enter__(self):
            threads.add(threading.current_thread())
            return super().__enter__()

    before = list(warnings.filters)
    monkeypatch.setattr(warnings, "catch_warnings", Watched)
    take_in(folder)
    assert threads <= {threading.main_thread()} and list(warnings.filters) == before


def test_what_pillow_warns_of_does_not_reach_the_user(folder, recwarn):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(folder / "Panda" / "odd.jpg", exif=exif.tobytes()[:-6])
    take_in(folder)
    assert [str(warning.message) for warning in recwarn] == []


def test_a_folder_that_is_none_is_refused(tmp_path, refused):
    (tmp_path / "file").touch()
    for name in ("absent", "file"):
        with refused(str(tmp_path / name), "is not a folder"):
            take_in(tmp_path / name)


def test_an_empty_folder_is_refused(tmp_path, refused):
    with refused(str(tmp_path), "no class folders", "at least two"):
        take_in(tmp_path)


def test_photos_without_class_folders_are_refused(tmp_path, refused):
    for i in range(10):
        noise(tmp_path / f"{i}.jpg")
    with refused(str(tmp_path), "no class folders"):
        take_in(tmp_path)


def test_one_class_alone_is_refused(write_photos, refused):
    folder = write_photos(Panda=6)
    (folder / ".hidden").mkdir()
    with refused(str(folder), "only the class 'Panda'"):
        take_in(folder)


@pytest.mark.parametrize("count", [1, 4])
def test_a_class_with_fewer_than_five_photos_is_refused(count, write_photos, refused):
    folder = write_photos(Panda=6, Polar=count)
    with refused("'Polar'", f"{count} good photos", "5 or more"):
        take_in(folder)


def test_an_empty_class_folder_is_refused(folder, refused):
    (folder / "Polar\nbears").mkdir()
    with refused("'Polar\\nbears'", "0 good photos"):
        take_in(folder)


def test_photos_that_were_refused_do_not_count_and_are_counted_in_the_message(folder, refused):
    cut(folder / "Grizzly" / "0.png")
    with refused("'Grizzly'", "4 good photos", "(quarantined: 1 truncated)"):
        take_in(folder)


def animation(path, frames, side_px=80):
    first, *others = [Image.effect_noise((side_px, side_px), 80) for _ in range(frames)]
    first.save(path, save_all=True, append_images=others)


@pytest.mark.parametrize("name", ["moves.gif", "moves.png", "moves.webp", "pages.tif"])
def test_a_file_of_several_frames_is_taken_only_where_that_is_allowed(name, folder):
    animation(folder / "Panda" / name, 3)
    reason, detail = verdict(folder, f"Panda/{name}")
    assert reason == "animated" and "3 frames" in detail and "allow_animated" in detail
    assert verdict(folder, f"Panda/{name}", allow_animated=True) == ("ok", "")


def test_a_gif_of_one_frame_is_a_photo(folder):
    animation(folder / "Panda" / "still.gif", 1)
    assert verdict(folder, "Panda/still.gif") == ("ok", "")


def test_an_animation_that_is_too_small_is_so_where_it_is_allowed(folder):
    animation(folder / "Panda" / "moves.gif", 2, side_px=63)
    assert verdict(folder, "Panda/moves.gif", allow_animated=True)[0] == "too_small"


@pytest.mark.parametrize(("size", "expected"), [((100, 300), "ok"), ((99, 300), "too_small"), ((300, 99), "too_small")])
def test_the_shortest_side_allowed_is_a_setting(size, expected, write_photos):
    folder = write_photos(Grizzly=1, Panda=1)
    for class_name in ("Grizzly", "Panda"):
        for i in range(5):
            noise(folder / class_name / f"large {i}.png", (100 + i, 200))
    noise(folder / "Panda" / "which.png", size)
    taken = take_in(folder, min_side_px=100)
    assert [row["path"] for row in taken.quarantined if row["path"] != "Panda/which.png"] == [
        "Grizzly/0.png",
        "Panda/0.png",
    ]
    reason, detail = verdict(folder, "Panda/which.png", min_side_px=100)
    assert reason == expected and (expected == "ok" or "expected 100 px or more per side" in detail)


@pytest.mark.parametrize(
    ("target", "expected", "words"),
    [
        ("0.png", "duplicate", ["an exact copy of Panda/0.png"]),
        ("../Panda/below/../0.png", "duplicate", ["an exact copy of Panda/0.png"]),
        ("../Grizzly/0.png", "conflicting_label", ["Grizzly, Panda"]),
        ("../stray.png", "ok", []),
        ("../../outside/out.png", "wrong_place", ["a link out of the photo folder", "../../outside/out.png"]),
        ("../../outside", "wrong_place", ["a link to the folder '../../outside'", "not followed"]),
        ("../Grizzly", "wrong_place", ["a link to the folder '../Grizzly'", "not followed"]),
        ("..", "wrong_place", ["a link to the folder '..'", "not followed"]),
        (".", "wrong_place", ["a link to the folder '.'", "not followed"]),
        ("absent.png", "wrong_place", ["a link to 'absent.png', which does not exist"]),
        ("link.png", "wrong_place", ["a link to 'link.png', which does not exist"]),
        ("back.png", "wrong_place", ["a link to 'back.png', which does not exist"]),
    ],
)
def test_a_link_is_a_file_of_the_folder_or_in_the_wrong_place(target, expected, words, write_photos):
    folder = write_photos(Grizzly=6, Panda=6)
    for below in (folder.parent / "outside", folder / "Panda" / "below"):
        below.mkdir()
        noise(below / "out.png")
    noise(folder / "stray.png", (77, 77))
    (folder / "Panda" / "back.png").symlink_to("link.png" if target == "back.png" else "nowhere.png")
    (folder / "Panda" / "link.png").symlink_to(target)
    reason, detail = verdict(folder, "Panda/link.png")
    assert reason == expected and all(word in detail for word in words)
    paths = [row["path"] for rows in (take_in(folder).photos, take_in(folder).quarantined) for row in rows]
    assert len(paths) == 12 + 4 and "outside" not in str(paths)


def test_the_photo_folder_itself_may_be_a_link(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    (folder / "Panda" / "link.png").symlink_to("0.png")
    assert take_in(tmp_path / "link") == take_in(folder)


def test_a_class_folder_that_is_a_link_is_a_row_and_the_refusal_names_it(folder, tmp_path, refused):
    shutil.copytree(folder / "Panda", tmp_path / "elsewhere")
    (folder / "Polar").symlink_to(tmp_path / "elsewhere")
    with refused("'Polar'", "0 good photos", "1 wrong_place"):
        take_in(folder)


def test_lists_of_sources_are_passed_over_beside_the_class_folders_and_nowhere_else(folder):
    for name in ("sources.csv", "ATTRIBUTION.md"):
        (folder / name).write_text("who took which photo")
    assert take_in(folder).quarantined == []
    (folder / "others.csv").write_text("")
    for name in ("splits.csv", "Quarantine.CSV"):
        (folder / name).write_text("tables of this project")
    (folder / "Panda" / "sources.csv").write_text("who took which photo")
    assert [(row["path"], row["reason"]) for row in take_in(folder).quarantined] == [
        ("Panda/sources.csv", "not_an_image"),
        ("others.csv", "wrong_place"),
    ]


@pytest.fixture
def close(monkeypatch):
    """Return a function that makes a folder unlistable, even for root."""
    closed, scandir = set(), os.scandir

    def scanned(path):
        if str(path) in closed:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scanned)
    return lambda path: closed.add(str(path))


def test_a_folder_that_cannot_be_listed_is_a_row(folder, close):
    (folder / "Panda" / "below").mkdir()
    noise(folder / "Panda" / "below" / "photo.png")
    close(folder / "Panda" / "below")
    taken = take_in(folder)
    assert taken.per_class() == {"Grizzly": 5, "Panda": 6} and len(taken.quarantined) == 1
    detail = "the folder cannot be read (Permission denied): check its permissions"
    row = {"path": "Panda/below", "class_name": "Panda", "reason": "unreadable", "detail": detail}
    assert {column: taken.quarantined[0][column] for column in QUARANTINE_COLUMNS} == row


def test_a_class_folder_that_cannot_be_listed_is_refused(folder, close, refused):
    close(folder / "Panda")
    with refused("'Panda'", "0 good photos", "1 unreadable"):
        take_in(folder)


def test_a_photo_folder_that_cannot_be_listed_is_refused(folder, close, refused):
    close(folder)
    with refused(str(folder), "could not be read (Permission denied)", "check its permissions"):
        take_in(folder)


@pytest.mark.parametrize("closed", ["", "Panda"])
def test_a_folder_that_lists_files_and_keeps_them_is_refused(closed, folder, monkeypatch, refused):
    """A folder with permission to read but not to enter it; root is never refused."""
    (folder / "link.png").symlink_to("Panda/0.png")
    stat = os.stat

    def denied(path, *arguments, **options):
        if isinstance(path, (str, os.PathLike)) and f"{folder / closed}{os.sep}" in os.fspath(path):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", denied)
    monkeypatch.setattr(os, "lstat", lambda path, **options: denied(path, follow_symlinks=False, **options))
    with refused("'Panda'" if closed else "'Grizzly'", "unreadable"):
        take_in(folder)


def test_near_duplicates_share_a_group_also_across_classes(folder, tmp_path):
    picture = Image.fromarray(paint("Panda", 0))
    smaller = picture.resize((picture.width // 2, picture.height // 2))
    for i, copied in enumerate([picture, smaller, ImageOps.mirror(picture), picture.convert("L")]):
        copied.save(tmp_path / f"{i}.png")
    # The one that gives the group its name comes last
    copies = sorted(tmp_path.glob("?.png"), key=sha256_of, reverse=True)
    name = sha256_of(copies[-1])[:16]
    paths = ["Grizzly/a.png", "Grizzly/b.png", "Panda/a.png", "Panda/b.png"]
    for copied, path in zip(copies, paths, strict=True):
        copied.rename(folder / path)
    taken = take_in(folder)
    assert [photo["path"] for photo in taken.photos if photo["group"] == name] == paths
    assert [[photo["path"] for photo in group] for group in taken.near_duplicates()] == [paths]
    others = [photo for photo in taken.photos if photo["path"] not in paths]
    assert len(others) == 11 and all(photo["group"] == photo["sha256"][:16] for photo in others)


def test_what_was_refused_is_counted_by_reason(folder):
    (folder / "Panda" / "empty.jpg").touch()
    for i in range(3):
        (folder / "Panda" / f"{i}.txt").write_text("no photo")
    noise(folder / "stray.png")
    taken = take_in(folder)
    assert taken.per_reason() == {"empty": 1, "not_an_image": 3, "wrong_place": 1}
    assert list(taken.per_reason()) == sorted(taken.per_reason()) and set(taken.per_reason()) < set(REASONS)


def test_few_files_are_in_work_at_once(folder, monkeypatch):
    looked_up, kept, most = [], [], 0

    def get(status):
        nonlocal most
        looked_up.append(status)
        most = max(most, len(looked_up) - len(kept))

    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    cache = types.SimpleNamespace(get=get, put=lambda status, facts: kept.append(status), save=lambda: None)
    take_in(folder, cache=cache)
    assert len(looked_up) == len(kept) == 11 and most == 8


@pytest.mark.slow
def test_memory_is_that_of_the_rows_however_many_photos(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    # As many bytes as are kept of a real photo, without the time
    monkeypatch.setattr(facts, "perceptual_hashes", lambda image: rng.integers(0, 256, (27, 32), dtype=np.uint8))

    def bytes_of(count):
        """Take in `count` tiny photos; return the bytes kept at the end and at the peak."""
        for i in range(count):
            path = tmp_path / str(count) / f"class {i % 2}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
        tracemalloc.start()
        taken = take_in(tmp_path / str(count), min_side_px=8)
        measured = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(taken.photos) == count
        return np.array(measured)

    bytes_of(20)  # what is loaded once does not count
    few, many = bytes_of(1000), bytes_of(5000)
    assert max((many - few) / 4000) < 3200


def test_what_is_unusual_about_a_folder_is_said_in_one_line_each(folder, write_photos):
    write_photos(folder, panda=5, Polar=5)
    scene = Image.effect_noise((300, 300), 80).resize((600, 600))
    for number in range(7):
        scene.resize((500 - number, 500 - number)).save(folder / "Polar" / f"scene {number}.png")
    (folder / "lost+found").mkdir()
    (folder / "lost+found" / "#1.jpg").write_bytes(b"")
    edits = [{"sha256": sha256_of(folder / "Grizzly" / "0.png"), "from": "Grizzly", "to": "Panda", "why": ""}]
    (folder / "Grizzly" / "5.png").write_bytes((folder / "Polar" / "0.png").read_bytes() + b"another")
    taken = take_in(folder, edits=edits)
    assert taken.corrections == 1
    assert taken.notes() == [
        "passed over, because they hold no photos of yours: lost+found (1)",
        "the classes 'Panda' and 'panda' differ only in case, Unicode form or spaces",
        "1 label correction applied",
        "class 'Polar': 7 of 12 photos look like one scene, so they stay in one split; if they differ in what matters "
        "to you, set near_duplicates=ignore",
    ]
