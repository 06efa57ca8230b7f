"""The page: what it refuses, what it keeps to itself, and what a browser shows."""

import asyncio
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from bears_tl.cli import main
from bears_tl.errors import InputError
from bears_tl.serving import app
from bears_tl.serving.corrections import Corrections

NAMES = ["Grizzly", "Panda"]


class MadeUp:
    """Answers with the hash of what it was given."""

    class_names, lacking = NAMES, "<script>alert(1)</script>"
    run = SimpleNamespace(folder=Path("a run <b>"), notice=lambda: "")

    def __init__(self):
        self.seen = 0
        self.corrections = SimpleNamespace(class_names=NAMES, add=self.add)

    def answer(self, data):
        self.seen += 1
        if data == b"text":
            raise InputError("this is not a photo")
        return {"sha256": hashlib.sha256(data).hexdigest(), "label": {"class_name": "Panda"}}

    def add(self, sha256, to_class, why):
        raise InputError(f"{sha256} {to_class} {why}")


@pytest.fixture
def made_up():
    return MadeUp()


@pytest.fixture
def port(made_up):
    """Serve made-up answers in a thread, with the limits of `serve`."""
    sockets, started, ended = app._bind("127.0.0.1", 0), threading.Event(), []

    async def serve(pool):
        ended.append((asyncio.get_running_loop(), asyncio.current_task()))
        with contextlib.suppress(asyncio.CancelledError):
            await app._serve(app.application(made_up, "127.0.0.1", pool), sockets, started.set)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        thread = threading.Thread(target=lambda: asyncio.run(serve(pool)))
        thread.start()
        assert started.wait(10)
        yield sockets[0].getsockname()[1]
        loop, task = ended[0]
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
    for each in sockets:
        each.close()


def ask(port, method, path, body=None, **headers):
    """Ask the server: its status, and its JSON or text."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    link.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = link.getresponse()
    said = answer.read()
    link.close()
    return answer.status, json.loads(said) if "json" in answer.headers["Content-Type"] else said.decode()


def waits_for(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/file=/etc/passwd",
        "//etc/passwd",
        "/app.py",
        "/answer/../../etc/passwd",
        "/static/../app.py",
        "/%00",
    ],
)
def test_no_address_names_a_file(port, path):
    status, said = ask(port, "GET", path)
    assert status == 404 and said == {"error": "There is nothing at this address. The page is at /."}


def test_the_page_escapes_names_and_allows_its_own_style_and_script_alone(port):
    link = http.client.HTTPConnection("127.0.0.1", port)
    link.request("GET", "/")
    answer = link.getresponse()
    policy, page = answer.headers["Content-Security-Policy"], answer.read().decode()
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert "a run &lt;b&gt;" in page and "<script>alert" not in page
    assert "http:" not in page and "https:" not in page and "//" not in page.split("<script>")[0]


@pytest.mark.parametrize("path", ["/", "/answer", "/correction"])
def test_other_websites_may_not_use_it(port, path):
    method = "GET" if path == "/" else "POST"
    for headers in ({"Host": "evil.example"}, {"Host": "[::1"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        status, said = ask(port, method, path, **headers)
        assert status == 403 and set(said) == {"error"}, headers
    status, _ = ask(port, "GET", "/", Host=f"localhost:{port}", Origin=f"http://localhost:{port}")
    assert status == 200


def test_a_file_of_20_mb_is_the_largest_however_it_is_sent(port, made_up):
    at_most = bytes(app.MAX_BYTES)
    assert ask(port, "POST", "/answer", at_most)[1]["sha256"] == hashlib.sha256(at_most).hexdigest()
    for body in (at_most + b"1", iter([at_most, b"1"])):  # the second one does not say its length first
        status, said = ask(port, "POST", "/answer", body)
        assert status == 413 and "larger than 20 MB" in said["error"]
    assert made_up.seen == 1


def test_what_is_no_photo_is_refused_with_its_reason(port):
    assert ask(port, "POST", "/answer", b"text") == (422, {"error": "this is not a photo"})
    assert ask(port, "GET", "/answer")[0] == 405


def test_a_full_queue_says_so_and_a_client_that_left_frees_its_place(port, monkeypatch):
    monkeypatch.setattr(app, "MOST_WAITING", 2)
    links = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
    for link in links:
        link.sendall(b"POST /answer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf")  # 5 bytes to come
    waits_for(lambda: ask(port, "POST", "/answer", b"x" * 10**6)[0] == 503)  # until both have arrived
    status, said = ask(port, "POST", "/answer", b"x")
    assert status == 503 and "2 photos are waiting" in said["error"]
    for link in links:
        link.close()
    waits_for(lambda: ask(port, "POST", "/answer", b"x")[0] == 200)


def test_200_photos_of_20_clients_at_once_all_get_their_own_answer_and_memory_stays(port):
    photos = [number.to_bytes(2) * 500_000 for number in range(200)]

    def send(photo):
        status, said = ask(port, "POST", "/answer", photo)
        return status == 200 and said["sha256"] == hashlib.sha256(photo).hexdigest()

    with concurrent.futures.ThreadPoolExecutor(20) as clients:
        assert all(clients.map(send, photos[:40]))
        before = psutil.Process().memory_info().rss
        assert all(clients.map(send, photos))
    assert psutil.Process().memory_info().rss - before < 60e6  # 200 MB went through


def test_a_correction_comes_from_this_machine_and_names_a_class(port, made_up, monkeypatch):
    good = {"sha256": "0" * 64, "to": 1, "why": "it is black and white"}
    assert ask(port, "POST", "/correction", json.dumps(good)) == (
        422,
        {"error": f"{'0' * 64} Panda it is black and white"},
    )
    for bad in ("", "[]", "{}", json.dumps(good | {"to": 2}), json.dumps(good | {"to": "1"}), "\xff"):
        assert ask(port, "POST", "/correction", bad)[0] == 400
    assert ask(port, "POST", "/answer", b"x")[1]["correctable"] is True
    monkeypatch.setattr(app, "_is_loopback", lambda address: False)
    assert ask(port, "POST", "/correction", json.dumps(good))[0] == 403
    assert ask(port, "POST", "/answer", b"x")[1]["correctable"] is False


def test_a_port_in_use_is_one_line_before_anything_is_loaded(monkeypatch, refused):
    monkeypatch.setattr(app, "Answers", None)
    with socket.create_server(("127.0.0.1", 0)) as taken, refused("in use", "--port 0"):
        app.serve(None, "127.0.0.1", taken.getsockname()[1], None)
    for host, number, words in [
        ("127.0.0.1", 65536, ["65536", "out of range"]),
        ("nowhere.invalid", 0, ["nowhere.invalid", "127.0.0.1"]),
        ("203.0.113.1", 0, ["203.0.113.1"]),
        ("a" * 70 + ".b", 0, ["127.0.0.1"]),
    ]:
        with refused(*words):
            app.serve(None, host, number, None)


def test_a_run_that_is_not_trained_is_one_line(tmp_path, write_photos, capsys):
    assert main(["intake", str(write_photos(Grizzly=6, Panda=6)), "--run", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert main(["app", "--run", str(tmp_path / "run"), "--port", "0"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "bears" in error


@pytest.fixture
def corrections(tmp_path, monkeypatch):
    """Give the corrections of a run with one photo below a folder that is already split."""
    path = tmp_path / "edits.csv"
    photo = {"path": "train/Grizzly/a.jpg", "sha256": "a" * 64, "given_split": "train", "class_name": "Grizzly"}
    tables = {"photos.csv": [photo], "splits.csv": [{"sha256": "a" * 64, "split": "train"}]}
    run = SimpleNamespace(
        config=SimpleNamespace(edits=path), facts=lambda stage: {"per_class": {"Grizzly": 1, "Panda": 2}}
    )
    run.table = tables.__getitem__
    return Corrections(run)


def test_only_a_photo_of_the_run_is_corrected_and_its_label_follows(corrections, refused):
    ours = "a" * 64
    assert corrections.label(ours)["class_name"] == "Grizzly" and corrections.label("b" * 64) is None
    with refused("not one of the run's photos"):
        corrections.add("b" * 64, "Panda", "")
    with refused("'Polar'"):
        corrections.add(ours, "Polar", "")
    with refused("'Grizzly' already"):
        corrections.add(ours, "Grizzly", "")
    assert corrections.add(ours, "Panda", "black and white")["class_name"] == "Grizzly"
    assert corrections.label(ours)["class_name"] == "Panda"
    with refused("'Panda' already"):
        corrections.add(ours, "Panda", "")
    corrections.add(ours, "Grizzly", "")
    assert corrections.label(ours)["class_name"] == "Grizzly"
