"""A set of licensed photos from files of Open Images' own format, on the loopback interface."""

import collections
import csv
import hashlib
import http.server
import io
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from bears_tl.cli import main
from bears_tl.errors import NotReachableError
from bears_tl.network.downloads import FetchLimits, fetch_photos
from bears_tl.photos.image import read_image
from bears_tl.photos.open_images.build import build, load, select, upright

CONFIG = Path(__file__).parents[3] / "configs" / "open_images.yaml"
QUICK = FetchLimits(timeout_seconds=(1, 1), attempts=3, backoff_seconds=0.01, max_wait_seconds=2)
CLASSES = [("/m/01dxs", "Brown bear"), ("/m/0633h", "Polar bear"), ("/m/03bj1", "Panda"), ("/m/0dbvp", "Goose")]
LICENCE = "https://creativecommons.org/licenses/by/2.0/"
METADATA = [
    "ImageID", "Subset", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL", "Author", "Title",
    "OriginalSize", "OriginalMD5", "Thumbnail300KURL", "Rotation",
]  # fmt: skip


def image_id(number):
    return f"{number:016x}"


def jpeg(number, **options):
    """A small photo unlike any other: its left upper quarter is black."""
    pixels = np.random.default_rng(number).integers(100, 256, (60, 80, 3), dtype=np.uint8)
    pixels[:30, :40] = 0
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


def csv_text(rows):
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue().encode()


class OpenImages(http.server.ThreadingHTTPServer):
    """Serves `files`, path -> content, and rows added to them; each request uses one of its path's `faults`."""

    daemon_threads, request_queue_size = True, 50

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.rows = {}, {}
        self.faults = collections.defaultdict(list)
        self.requests, self.agents = collections.Counter(), set()
        self.released = threading.Event()  # ends what stalls
        for split in ("train", "validation", "test"):
            self.rows[f"/{split}-labels.csv"] = [["ImageID", "Source", "LabelName", "Confidence"]]
            self.rows[f"/{split}-images.csv"] = [METADATA]
        self.rows["/classes.csv"] = [["LabelName", "DisplayName"], *CLASSES]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, path=""):
        return f"http://127.0.0.1:{self.server_port}{path}"

    def label(self, number, label, split="train", source="verification", confidence="1"):
        self.rows[f"/{split}-labels.csv"].append([image_id(number), source, label, confidence])

    def metadata(self, number, split="train", **values):
        row = dict.fromkeys(METADATA, "x") | {
            "ImageID": image_id(number),
            "Subset": split,
            "OriginalURL": f"https://c1.staticflickr.com/5/{number}_o.jpg",
            "OriginalLandingURL": f"https://www.flickr.com/photos/someone/{number}",
            "License": LICENCE,
            "AuthorProfileURL": "https://www.flickr.com/people/someone/",
            "Author": "Someone",
            "Title": f"Bear {number}",
            "Rotation": "0.0",
        }
        self.rows[f"/{split}-images.csv"].append(list((row | values).values()))

    def photo(self, number, label, split="train", content=None, **values):
        """Add a photo with a label and metadata."""
        self.label(number, label, split)
        self.metadata(number, split, **values)
        self.files[f"/photos/{split}/{image_id(number)}.jpg"] = content or jpeg(number)

    def photo_requests(self):
        return {path: count for path, count in self.requests.items() if path.startswith("/photos/")}


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server
        server.requests[self.path] += 1
        server.agents.add(self.headers["User-Agent"])
        content = server.files.get(self.path)
        if self.path in server.rows:
            content = csv_text(server.rows[self.path])
        faults = server.faults[self.path] or server.faults["*"]
        if faults:
            fault = faults[0]
            del faults[: len(faults) > 1]
            fault(self, content)
        elif content is None:
            self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
        elif isinstance(content, bytes):
            self.reply(200, content)
        else:
            content(self)

    def reply(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


def good(handler, content):
    handler.reply(200, content)


def drops(handler, content):
    handler.reply(200, content[: len(content) // 2], length=len(content))


def cuts(handler, content):
    handler.reply(200, content[: len(content) // 2])


def stalls(handler, content):
    handler.server.released.wait(20)


def sends(body):
    return lambda handler, content: handler.reply(200, body)


def answers(status, **headers):
    return lambda handler, content: handler.reply(status, b"no", **headers)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = OpenImages()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def bears(server):
    """A server with 8 photos a class, in two splits."""
    for number, (label, _) in enumerate(CLASSES[:3]):
        for i in range(8):
            server.photo(number * 100 + i, label, split="train" if i % 2 else "test")
    return server


@pytest.fixture
def recipe(server, tmp_path):
    """Return a function that writes a config with the loopback server's addresses and reads it."""

    def write(**changes):
        values = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
        values |= {"per_class": 5, "cache": str(tmp_path / "cache"), "class_descriptions": server.url("/classes.csv")}
        values |= {"photos": server.url("/photos/{split}/{ImageID}.jpg")}
        values["labels"] = {split: server.url(f"/{split}-labels.csv") for split in values["splits"]}
        values["metadata"] = {split: server.url(f"/{split}-images.csv") for split in values["splits"]}
        (tmp_path / "open_images.yaml").write_text(yaml.safe_dump(values | changes, sort_keys=False))
        return load(tmp_path / "open_images.yaml")

    return write


def sources(folder):
    with open(folder / "sources.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def photos(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))


# --- the whole way ------------------------------------------------------------------------------------------------


def test_a_set_has_class_folders_sources_and_attribution(bears, recipe, tmp_path):
    harvests = build(recipe(), tmp_path / "set", QUICK)
    assert [harvest.sentence() for harvest in harvests] == [
        f"{name}: 5 photos of 8" for name in ("Brown bear", "Polar bear", "Panda")
    ]
    folder = tmp_path / "set"
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "ATTRIBUTION.md", "Brown bear", "Panda", "Polar bear", "sources.csv",
    ]  # fmt: skip
    rows = sources(folder)
    assert sorted(row["path"] for row in rows) == photos(folder) and len(rows) == 15
    for row in rows:
        content = (folder / row["path"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert content == bears.files[row["url"].removeprefix(bears.url())], "what lies right is not touched"
        assert row["path"] == f"{row['class_name']}/{row['image_id']}.jpg"
        assert row["licence"] == LICENCE and row["author"] == "Someone" and row["title"].startswith("Bear ")
        assert row["landing_page"] == f"https://www.flickr.com/photos/someone/{int(row['image_id'], 16)}"
    text = (folder / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert "The 15 photos" in text and all(row["image_id"] in text and row["landing_page"] in text for row in rows)
    assert len([agent for agent in bears.agents if agent.startswith("bears_tl/")]) == 1
    assert max(bears.requests.values()) == 1


def test_the_command_line_prints_a_line_a_class(bears, recipe, tmp_path, capsys):
    recipe()
    words = ["open-images", "--config", str(tmp_path / "open_images.yaml"), "--to", str(tmp_path / "set")]
    assert main([*words, "--per-class", "3", "--class", "Bear=brown BEAR", "panda"]) == 0
    assert capsys.readouterr().out == "Bear: 3 photos of 8\npanda: 3 photos of 8\n"
    assert {Path(path).parent.name for path in photos(tmp_path / "set")} == {"Bear", "panda"}
    assert main(words) == 2
    assert "already exists" in capsys.readouterr().err


def test_the_choice_is_stable(bears, recipe, tmp_path):
    """A larger set holds the smaller one and fetches only what is new; the order of the rows does not matter."""
    build(recipe(per_class=3), tmp_path / "small", QUICK)
    assert len(bears.photo_requests()) == 9
    rows = bears.rows["/test-labels.csv"]
    rows[1:] = rows[:0:-1]
    build(recipe(per_class=6, class_descriptions=bears.url("/classes.csv")), tmp_path / "large", QUICK)
    assert set(photos(tmp_path / "small")) < set(photos(tmp_path / "large"))
    assert len(photos(tmp_path / "large")) == 18
    assert len(bears.photo_requests()) == 18 and max(bears.requests.values()) == 1
    build(recipe(per_class=3, seed=1), tmp_path / "other", QUICK)
    assert photos(tmp_path / "other") != photos(tmp_path / "small")


def test_splits_that_are_not_asked_for_are_not_fetched(bears, recipe, tmp_path):
    harvests = build(recipe(splits=["test"]), tmp_path / "set", QUICK)
    assert [len(harvest.rows) for harvest in harvests] == [4, 4, 4]
    assert not [path for path in bears.requests if "train" in path or "validation" in path]


# --- what is chosen -----------------------------------------------------------------------------------------------


def test_only_what_people_said_with_confidence_1_counts(server, recipe):
    for number, source, confidence, name in [
        (1, "verification", "1", "Panda"), (2, "crowdsource-verification", "1.0", "Panda"),
        (3, "machine", "1", None), (4, "verification", "0", None), (5, "verification", "0.9", None),
        (6, "verification", "nan", None), (7, "verification", "", None), (8, "verification", "0.0", None),
    ]:  # fmt: skip
        server.label(number, "/m/03bj1", source=source, confidence=confidence)
        server.metadata(number, Title=str(name))
    server.label(1, "/m/03bj1", source="crowdsource-verification")  # said twice
    server.label(1, "/m/01dxs", confidence="0")  # and no bear of another class
    server.label(9, "/m/0dbvp")
    server.metadata(9)
    (harvest,) = select(recipe(classes={"Panda": "Panda"}))
    assert sorted(row["title"] for _, _, row in harvest.candidates) == ["Panda", "Panda"]
    assert harvest.labelled == 2 and harvest.conflicting == 0


def test_a_photo_of_two_classes_is_left_out_of_both(bears, recipe, tmp_path):
    bears.label(0, "/m/03bj1", split="test")
    bears.label(1, "/m/0633h")
    bears.label(1, "/m/03bj1")
    bears.label(2, "/m/0dbvp", split="test")  # no class of ours: no conflict
    harvests = build(recipe(per_class=100), tmp_path / "set", QUICK)
    assert [harvest.sentence() for harvest in harvests] == [
        "Brown bear: 6 photos of 8 (2 labelled as another class too)",
        "Polar bear: 8 photos of 9 (1 labelled as another class too)",
        "Panda: 8 photos of 10 (2 labelled as another class too)",
    ]
    taken = {row["image_id"] for row in sources(tmp_path / "set")}
    assert not taken & {image_id(0), image_id(1)} and image_id(2) in taken


def test_a_photo_without_a_licence_is_refused_and_named(bears, recipe, tmp_path, capsys):
    for number, licence in enumerate(["", "  ", "unknown", "javascript:alert(1)"], 500):
        bears.photo(number, "/m/03bj1", License=licence)
    bears.label(504, "/m/03bj1")  # no metadata at all
    harvests = build(recipe(per_class=100), tmp_path / "set", QUICK)
    assert harvests[2].sentence() == "Panda: 8 photos of 13 (5 without a licence)"
    named = ", ".join(map(image_id, range(500, 505)))
    assert f"Panda: left out, no licence: {named}" in capsys.readouterr().err
    assert not [path for path in bears.requests if path.endswith(tuple(f"{image_id(n)}.jpg" for n in range(500, 505)))]
    assert all(row["licence"] for row in sources(tmp_path / "set"))


def test_a_class_without_photos_is_named(bears, recipe, tmp_path, refused):
    with refused("no photo of 'goose'", "0 are labelled", "choose another class"):
        build(recipe(classes={"Goose": "goose"}), tmp_path / "set", QUICK)
    assert not (tmp_path / "set").exists()


def test_an_unknown_class_is_named_with_its_neighbours(bears, recipe, tmp_path, refused):
    bears.rows["/classes.csv"].append(["/m/01", "panda"])
    with refused("no class 'Brwon bear'", "did you mean 'Brown bear'", "all 5 are listed in"):
        build(recipe(classes={"A": "Brwon bear"}), tmp_path / "set")
    with refused("no class '/m/zzz'", "all 5 are listed in"):
        build(recipe(classes={"A": "/m/zzz"}), tmp_path / "set")
    with refused("'Panda' has several labels, /m/03bj1 and /m/01", "use one of these"):
        build(recipe(classes={"A": "Panda"}), tmp_path / "set")
    with refused("'A' and 'B' are both /m/0633h"):
        build(recipe(classes={"A": "Polar bear", "B": "/m/0633h"}), tmp_path / "set")


@pytest.mark.parametrize("name", ["../../etc/passwd", "0123456789ABCDEF", "0123", "", "0123456789abcdef\n"])
def test_an_image_id_that_is_none_is_refused(server, recipe, refused, name):
    server.rows["/train-labels.csv"].append([name, "verification", "/m/03bj1", "1"])
    with refused("ImageID", "expected 16 hexadecimal digits"):
        select(recipe(classes={"Panda": "Panda"}))


def test_a_csv_of_another_form_is_named(bears, recipe, refused, capsys):
    select(recipe(splits=["validation", "train"]))
    bears.rows["/test-labels.csv"][0] = ["image", "source", "LabelName", "Confidence"]
    with refused("labels-test-", "lacks the columns ImageID, Source"):
        select(recipe())
    bears.rows["/test-labels.csv"][0] = ["ImageID", "Source", "LabelName", "Confidence"]
    bears.rows["/test-labels.csv"] += [["a", "row", "of", "too", "many"], ["or"], []]
    capsys.readouterr()
    select(recipe())
    assert "skipped 2 rows without 4 columns, the first at line 14" in capsys.readouterr().err
    bears.rows["/validation-other.csv"] = [METADATA, ['x" ' * 200_000]]
    with refused("line 2", "field larger than field limit"):
        select(
            recipe(metadata={split: bears.url("/validation-other.csv") for split in ("train", "validation", "test")})
        )


# --- faults of the network ----------------------------------------------------------------------------------------


def test_a_photo_that_cannot_be_had_gives_way_to_the_next(bears, recipe, tmp_path, capsys):
    order = [row for _, _, row in sorted(select(recipe())[2].candidates, reverse=True)]
    paths = [row["url"].removeprefix(bears.url()) for row in order]
    png = io.BytesIO()
    Image.new("RGB", (80, 80)).save(png, "PNG")
    huge = io.BytesIO()
    Image.new("RGB", (80, 80)).save(huge, "JPEG")
    frame = huge.getvalue().index(b"\xff\xc0") + 5  # where height and width stand
    huge = huge.getvalue()[:frame] + b"\xff\xdc" * 2 + huge.getvalue()[frame + 4 :]
    page = b"<!DOCTYPE html><html><title>Sign\nin</title></html>"
    bears.faults[paths[0]] = [answers(404)]
    bears.faults[paths[1]] = [sends(page)]
    bears.faults[paths[2]] = [answers(403)]
    bears.faults[paths[3]] = [sends(png.getvalue())]
    bears.faults[paths[4]] = [cuts]
    bears.faults[paths[5]] = [sends(huge)]
    harvests = build(recipe(per_class=2), tmp_path / "set", QUICK)
    assert harvests[2].sentence() == "Panda: 2 photos of 8 (6 unavailable)"
    assert [row["image_id"] for row in harvests[2].rows] == [row["image_id"] for row in order[6:]]
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Panda: left out: ")]
    assert len(said) == 6
    for word in ("HTTP 404", "web page (Sign in)", "HTTP 403", "PNG, not JPEG"):
        assert any(word in line for line in said), word
    assert any("65500 x 65500 px" in line or "exceeds limit" in line for line in said)  # of ours, or Pillow's own
    assert all(count == 1 for count in bears.photo_requests().values()), "what is final is not asked for again"


@pytest.mark.parametrize("fault", [drops, answers(503), answers(429, Retry_After="0"), answers(500)])
def test_a_passing_fault_is_passed(bears, recipe, tmp_path, fault):
    bears.faults["*"] = [good] * 9 + [fault, fault, good]
    assert len(build(recipe(), tmp_path / "set", QUICK)[0].rows) == 5


def test_retry_after_is_waited_for_by_all(bears, recipe, tmp_path):
    build(recipe(per_class=1), tmp_path / "first", QUICK)
    bears.faults["*"] = [answers(429, Retry_After="1"), good]
    started_seconds = time.monotonic()
    build(recipe(), tmp_path / "set", QUICK)
    assert time.monotonic() - started_seconds >= 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (answers(503), "HTTP 503 Service Unavailable; gave up after 3 attempts"),
        (answers(429, Retry_After="3600"), "asks to wait 3600 s; gave up after 1 attempt"),
        (drops, "the connection failed (ChunkedEncodingError); gave up after 3 attempts"),
        (stalls, "the connection failed (ReadTimeout); gave up after 3 attempts"),
    ],
)
def test_a_fault_that_stays_ends_the_run_and_the_next_goes_on(bears, recipe, tmp_path, fault, words):
    order = [row for _, _, row in sorted(select(recipe())[1].candidates, reverse=True)]
    bad = order[2]["url"].removeprefix(bears.url())
    bears.faults[bad] = [fault]
    with pytest.raises(NotReachableError) as raised:
        build(recipe(), tmp_path / "set", QUICK)
    assert words in str(raised.value) and "run again later" in str(raised.value) and "\n" not in str(raised.value)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cache", "open_images.yaml"]
    kept = {path.name for path in (tmp_path / "cache" / "photos").iterdir()}
    bears.faults.clear()
    bears.requests.clear()
    build(recipe(), tmp_path / "set", QUICK)
    assert len(photos(tmp_path / "set")) == 15
    again = {path.rsplit("/", 1)[1] for path in bears.photo_requests()}
    assert kept and not kept & again and len(kept | again) == 15
    assert not [path for path in bears.requests if path.endswith(".csv")]


def test_when_most_photos_cannot_be_had_the_address_is_at_fault(server, recipe, tmp_path):
    for number in range(60):
        server.photo(number, "/m/03bj1")
    with pytest.raises(NotReachableError, match="11 of the first 11 photos of 'Panda' are unavailable"):
        wrong = server.url("/nowhere/{ImageID}.jpg")
        build(recipe(classes={"Panda": "Panda"}, photos=wrong, per_class=60), tmp_path / "set", QUICK)
    assert sum(server.requests.values()) < 40 and not (tmp_path / "set").exists()


def test_a_class_of_which_no_photo_comes_is_named(bears, recipe, tmp_path, refused):
    bears.faults["*"] = [good] * 7 + [answers(404)]
    with refused("no photo of 'Brown bear' is available", "HTTP 404"):
        build(recipe(), tmp_path / "set", QUICK)


def test_a_server_that_is_not_there_is_named(server, recipe, tmp_path):
    server.photo(1, "/m/03bj1")
    with pytest.raises(NotReachableError, match=r"127\.0\.0\.1:9/.*ConnectionError.*gave up"):
        away = "http://127.0.0.1:9/{ImageID}.jpg"
        build(recipe(classes={"Panda": "Panda"}, photos=away), tmp_path / "set", QUICK)
    with pytest.raises(NotReachableError, match=r"could not be reached.*put the file at '.*cache/classes-"):
        build(recipe(class_descriptions="http://127.0.0.1:9/x.csv"), tmp_path / "set", QUICK)


def test_a_damaged_photo_in_the_cache_is_fetched_again(bears, recipe, tmp_path):
    build(recipe(), tmp_path / "first", QUICK)
    victim = next((tmp_path / "cache" / "photos").iterdir())
    whole = victim.read_bytes()
    victim.write_bytes(whole[:1000])
    build(recipe(), tmp_path / "second", QUICK)
    assert victim.read_bytes() == whole
    assert sorted(bears.photo_requests().values()) == [1] * 14 + [2]


def test_a_photo_without_end_is_refused(server, tmp_path):
    server.files["/long.jpg"] = jpeg(1) + bytes(100_000)
    server.files["/short.jpg"] = jpeg(2)
    limits = FetchLimits(max_bytes=50_000)
    wanted = {tmp_path / name: server.url(f"/{name}") for name in ("long.jpg", "short.jpg")}
    refused = fetch_photos(wanted, "photos", limits)
    assert list(refused) == [tmp_path / "long.jpg"] and "more than 50,000 bytes" in refused[tmp_path / "long.jpg"]
    assert [path.name for path in tmp_path.iterdir()] == ["short.jpg"]


def test_no_more_connections_than_allowed(server, tmp_path):
    at_once, most, guard = 0, 0, threading.Lock()

    def counted(handler):
        nonlocal at_once, most
        with guard:
            at_once, most = at_once + 1, max(most, at_once + 1)
        time.sleep(0.02)
        with guard:
            at_once -= 1
        handler.reply(200, jpeg(0))

    wanted = {tmp_path / f"{number}.jpg": server.url(f"/{number}.jpg") for number in range(20)}
    server.files = dict.fromkeys((f"/{number}.jpg" for number in range(20)), counted)
    assert fetch_photos(wanted, "photos", FetchLimits(connections=3)) == {}
    assert 1 < most <= 3 and len(list(tmp_path.iterdir())) == 20


def test_a_run_that_was_killed_leaves_no_folder_and_goes_on(bears, recipe, tmp_path):
    recipe(per_class=8)
    command = [sys.executable, "-m", "bears_tl", "open-images", "--to", str(tmp_path / "set")]
    command += ["--config", str(tmp_path / "open_images.yaml")]
    bears.faults["*"] = [good] * 17 + [stalls]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline_seconds = time.monotonic() + 30
    while len(list((tmp_path / "cache").glob("photos/*.jpg"))) < 10 and time.monotonic() < deadline_seconds:
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "set").exists()
    kept = {path.name for path in (tmp_path / "cache").glob("photos/[0-9a-f]*.jpg")}
    assert len(kept) == 10
    bears.faults.clear()
    bears.requests.clear()
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert len(photos(tmp_path / "set")) == 24
    assert sum(bears.requests.values()) == 14 and not kept & {path.rsplit("/", 1)[1] for path in bears.requests}


# --- turning ------------------------------------------------------------------------------------------------------

BLACK_QUARTER = {  # where the black left upper quarter of jpeg() lies after so many degrees counterclockwise
    "": (0, 0), "nan": (0, 0), "0": (0, 0), "0.0": (0, 0), "45": (0, 0), "-90": (0, 0), "inf": (0, 0),
    "90": (1, 0), "90.0": (1, 0), "180.0": (1, 1), "270.0": (0, 1),
}  # fmt: skip


def black_quarter(image):
    pixels = np.asarray(image, dtype=float).mean(axis=2)
    rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
    means = {(i, j): pixels[i * rows :, j * columns :][:rows, :columns].mean() for i in (0, 1) for j in (0, 1)}
    return min(means, key=means.get)


def test_photos_come_upright_and_their_pixels_stay(server, recipe, tmp_path):
    """The metadata's degrees are counterclockwise: a quarter left above comes to lie left below after 90."""
    for number, rotation in enumerate(BLACK_QUARTER):
        server.photo(number, "/m/03bj1", Rotation=rotation)
    build(recipe(classes={"Panda": "Panda"}, per_class=100), tmp_path / "set", QUICK)
    text = (tmp_path / "set" / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for number, (rotation, expected) in enumerate(BLACK_QUARTER.items()):
        path = tmp_path / "set" / "Panda" / f"{image_id(number)}.jpg"
        assert black_quarter(read_image(path)) == expected, rotation
        turned = expected != (0, 0)
        assert (path.read_bytes() == jpeg(number)) is not turned
        with Image.open(path) as after, Image.open(io.BytesIO(jpeg(number))) as before:
            assert np.array_equal(np.asarray(after), np.asarray(before)), "as stored, not one level differs"
        (line,) = [line for line in text.splitlines() if image_id(number) in line]
        assert line.endswith("; orientation noted") is turned
    rotations = {row["image_id"]: row["rotation"] for row in sources(tmp_path / "set")}
    assert [rotations[image_id(number)] for number in range(4)] == ["", "", "0", "0"]
    assert rotations[image_id(8)] == "90" and rotations[image_id(4)] == ""


@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_the_metadata_counts_whatever_the_exif_said(orientation, rotation):
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    if orientation:
        exif[0x0112] = orientation
    before = jpeg(0, exif=exif)
    after = upright(before, rotation)
    assert after.count(b"Exif\0\0") == 1
    assert black_quarter(read_image(io.BytesIO(after))) == {0: (0, 0), 90: (1, 0), 180: (1, 1), 270: (0, 1)}[rotation]
    assert upright(after, rotation) == after
    assert upright(before, "") == before


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_broken_exif_is_replaced():
    photo = jpeg(0, exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(20))
    assert black_quarter(read_image(io.BytesIO(upright(photo, 90)))) == (1, 0)
    assert upright(photo, "") == photo


# --- untrusted text -----------------------------------------------------------------------------------------------

HOSTILE = [
    "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "<script>alert(1)</script>", "](javascript:alert(1))", "\n# Head\n\n",
    "a\r\nb\tc\0d", "![x](https://evil.example/x.png)", "| a | b |", "`code`", "&lt;b&gt;", 'say "hi", it\'s',
    "\u202egnp.exe", "https://evil.example www.evil.example", "\\", "x" * 5000, "", "  ", "*_~#",
]  # fmt: skip


def test_hostile_titles_and_names_stay_words(server, recipe, tmp_path):
    for number, words in enumerate(HOSTILE):
        address = "javascript:alert(1)" if number % 2 else f"https://x.example/a b)>\n{words[:50]}"
        server.photo(
            number, "/m/03bj1", Title=words, Author=words, OriginalLandingURL=address, AuthorProfileURL=address,
            OriginalURL=address,
        )  # fmt: skip
    build(recipe(classes={"Panda": "Panda"}, per_class=100), tmp_path / "set", QUICK)
    rows = sources(tmp_path / "set")
    assert len(rows) == len(HOSTILE) and (tmp_path / "set" / "sources.csv").read_text().count("\n") == len(HOSTILE) + 1
    for row in rows:
        for value in row.values():
            assert value == "" or (value.isprintable() and len(value) <= 500 and value[0] not in "=+-@")
        for name in ("landing_page", "author_page", "original_url", "url", "licence"):
            assert row[name] == "" or re.fullmatch(r"https?://[^\s<>()\[\]\"'`\\]+", row[name])
    text = (tmp_path / "set" / "ATTRIBUTION.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("- ")]
    assert len(lines) == len(HOSTILE) and text.count("\n#") == 1
    for line in lines:
        shown = re.sub(r"\\[!-/:-@\[-`{-~]", "", line)  # without what is escaped
        shown = re.sub(r"\]\(<https?://[^\s<>]+>\)|<https?://[^\s<>]+>", "]", shown)  # and without our links
        assert not re.search(r"[<>&`*_~|!#(){}\"']|https?:|www\.", shown), line


# --- settings -----------------------------------------------------------------------------------------------------


def test_the_config_of_the_project_is_a_recipe():
    recipe = load(CONFIG)
    assert recipe.classes == {"Brown bear": "/m/01dxs", "Polar bear": "/m/0633h", "Panda": "/m/03bj1"}
    assert recipe.photos == "https://s3.amazonaws.com/open-images-dataset/{split}/{ImageID}.jpg"
    assert load(CONFIG, classes=["Red panda", "Bear=/m/01dxs"]).classes == {
        "Red panda": "Red panda",
        "Bear": "/m/01dxs",
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"per_clas": 1}, "unknown setting 'per_clas'"),
        ({"per_class": 0}, "per_class: 0, expected a whole number from 1"),
        ({"per_class": True}, "per_class: True"),
        ({"seed": "x"}, "seed: 'x'"),
        ({"connections": 17}, "connections: 17"),
        ({"splits": []}, "splits: []"),
        ({"splits": ["val"]}, "expected a list of some of train, validation, test"),
        ({"splits": [["train"]]}, "expected a list of some of train, validation, test"),
        ({"classes": {}}, "at least one class"),
        ({"classes": ["Panda"]}, "classes: ['Panda']"),
        ({"classes": {"Panda": 3}}, "expected lines of `name: text`"),
        ({"classes": {"../x": "Panda"}}, "'../x' cannot be the name of a folder"),
        ({"classes": {".x": "Panda"}}, "cannot be the name of a folder"),
        ({"classes": {"a/b": "Panda"}}, "cannot be the name of a folder"),
        ({"classes": {"x\n": "Panda"}}, "cannot be the name of a folder"),
        ({"classes": {"CON ": "Panda"}}, "cannot be the name of a folder"),
        ({"classes": {"__MACOSX": "Panda"}}, "cannot be the name of a folder"),
        ({"classes": {"panda": "Panda", "Panda": "Goose"}}, "one name occurs twice"),
        ({"labels": {"train": "https://a.example/x"}}, "labels, validation: None, expected an address"),
        ({"class_descriptions": "classes.csv"}, "class_descriptions: 'classes.csv'"),
        ({"photos": "https://a.example/x.jpg"}, "{ImageID}"),
        ({"cache": ""}, "cache: ''"),
    ],
)
def test_a_wrong_setting_is_named(recipe, refused, changes, words):
    with refused(words):
        recipe(**changes)


def test_a_file_that_is_no_config_is_named(tmp_path, refused):
    with refused("no config at", "configs/open_images.yaml"):
        load(tmp_path / "none.yaml")
    for text, words in (
        ("a: [", "could not be read as YAML"),
        ("- a", "holds list"),
        ("seed: 1", "lacks classes, per"),
    ):
        (tmp_path / "x.yaml").write_text(text)
        with refused(words):
            load(tmp_path / "x.yaml")
    with refused("'/m/01dxs' cannot be the name of a folder", "FOLDER=NAME"):
        load(CONFIG, classes=["/m/01dxs"])


# --- large files --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_large_files_are_not_held(server, recipe):
    """200 MB of rows made as they are sent: what is held grows with the photos of the class alone."""
    label = b"%016x,verification,%s,1\n"
    image = (
        b"%016x,train,https://a.example/o.jpg,https://a.example/page,%s,https://a.example/who,Somebody,%s,1,x,,0.0\n"
    )
    every, label_rows, image_rows = 10_000, 2_600_000, 500_000

    def sends_rows(header, row, count):
        size = len(header) + count * len(row(0))

        def send(handler):
            handler.reply(200, header, length=size)
            for start in range(0, count, 10_000):
                handler.wfile.write(b"".join(map(row, range(start, min(start + 10_000, count)))))

        return send, size

    licence = LICENCE.encode()
    del server.rows["/train-labels.csv"], server.rows["/train-images.csv"]
    server.files["/train-labels.csv"], labels_bytes = sends_rows(
        b"ImageID,Source,LabelName,Confidence\n",
        lambda number: label % (number, b"/m/03bj1" if number % every == 0 else b"/m/0aaaa"),
        label_rows,
    )
    server.files["/train-images.csv"], images_bytes = sends_rows(
        (",".join(METADATA) + "\n").encode(), lambda number: image % (number, licence, b"a title " * 5), image_rows
    )
    assert labels_bytes + images_bytes > 200 * 10**6
    settings = recipe(classes={"Panda": "Panda"}, splits=["train"])
    select(settings)  # what is fetched here is made by this process too
    tracemalloc.start()
    try:
        (harvest,) = select(settings)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert harvest.labelled == label_rows // every and len(harvest.candidates) == 2 * 5 + 20
    assert len(harvest.without_licence) == (label_rows - image_rows) // every
    assert peak_bytes < 5 * 10**6
