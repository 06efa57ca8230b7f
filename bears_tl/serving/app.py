"""Serve one page on which photos are tried on a run. Uploads stay in memory, and no address names a file."""

import asyncio
import base64
import concurrent.futures
import hashlib
import importlib.resources
import ipaddress
import json
import logging
import socket
import sys
import urllib.parse
from collections.abc import Callable

import jinja2
import tornado.httpserver
import tornado.netutil
import tornado.web
from markupsafe import Markup

from bears_tl.errors import InputError
from bears_tl.judging.names import visible
from bears_tl.pipeline.run import Run
from bears_tl.serving.answers import MAX_MEGAPIXELS, Answers

MAX_BYTES = 20 * 10**6  # of an uploaded file
MOST_WAITING = 24  # photos in memory at once, at most 0.5 GB; more are refused
_MAX_TEXT_BYTES = 64 * 2**10  # of any other request
_MAX_PASSED_BYTES = 10 * MAX_BYTES  # of a refused upload that is read to its end, because browsers answer only then
_TIMEOUT_S = 60  # for the next request of a connection, and for its body
_TEMPLATES = importlib.resources.files("bears_tl.serving")  # app.html, app.css, app.js
_SAFE = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "Server": "bears",
    "X-Content-Type-Options": "nosniff",
}


def serve(run: Run, host: str, port: int, started: Callable[[str], None]) -> None:
    """Serve the page of a trained run until the process is interrupted.

    Args:
        run: a trained run.
        host: a name or an address of this machine, such as 127.0.0.1.
        port: 1 to 65535; 0 takes a free one.
        started: called with the page's address once it answers.

    Raises:
        InputError: the address is in use or not of this machine; or the run is not trained, see `Answers`.
    """
    sockets = _bind(host, port)
    pool = concurrent.futures.ThreadPoolExecutor(1)  # the body uses all cores for one photo
    try:
        app = application(Answers(run), host, pool)
        asyncio.run(_serve(app, sockets, lambda: started(_address(host, sockets[0].getsockname()[1]))))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for each in sockets:
            each.close()


async def _serve(app: tornado.web.Application, sockets: list[socket.socket], started: Callable[[], None]) -> None:
    limits = {"idle_connection_timeout": _TIMEOUT_S, "body_timeout": _TIMEOUT_S, "max_header_size": _MAX_TEXT_BYTES}
    tornado.httpserver.HTTPServer(app, max_body_size=_MAX_TEXT_BYTES, **limits).add_sockets(sockets)
    started()
    await asyncio.Event().wait()


def application(answers: Answers, host: str, pool: concurrent.futures.Executor) -> tornado.web.Application:
    """Make the web application: the page, answers for photos, and corrections.

    Args:
        answers: a loaded run.
        host: the address that is served; pages of other names that lead here are refused.
        pool: computes the answers.
    """
    logging.getLogger("tornado.general").setLevel(logging.ERROR)  # what a client did wrong is told to it, not printed
    page, policy = _page(answers)
    given = {"answers": answers, "host": host}
    routes = [
        ("/", _Page, given | {"page": page, "policy": policy}),
        ("/answer", _Photo, given | {"pool": pool, "waiting": set()}),
        ("/correction", _Correction, given),
    ]
    return tornado.web.Application(
        routes, default_handler_class=_Nothing, default_handler_args=given, log_function=lambda handler: None
    )


class _Handler(tornado.web.RequestHandler):
    """Refuse requests that another website made, and say every error in one line of JSON."""

    def initialize(self, answers: Answers, host: str) -> None:
        self.answers, self.host = answers, host

    def set_default_headers(self) -> None:
        for name, value in _SAFE.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Compare the names under which this server was called: a website may name any address as its own."""
        name, origin = _name(self.request.host), self.request.headers.get("Origin")
        if not _is_ip(name) and name not in ("localhost", self.host.lower(), socket.gethostname().lower()):
            raise tornado.web.HTTPError(403, reason="This page is not served under this name.")
        if origin is not None and origin != f"{self.request.protocol}://{self.request.host}":
            raise tornado.web.HTTPError(403, reason="Another website may not use this page.")

    def say(self, error: str, status: int) -> None:
        self.set_status(status)
        self.finish({"error": error})

    def write_error(self, status_code: int, **_) -> None:
        self.finish({"error": self._reason})


class _Nothing(_Handler):
    """Every other address."""

    def prepare(self) -> None:
        self.say("There is nothing at this address. The page is at /.", 404)


class _Page(_Handler):
    def initialize(self, page: str, policy: str, **given) -> None:
        super().initialize(**given)
        self.page, self.policy = page, policy

    def get(self) -> None:
        self.set_header("Content-Security-Policy", self.policy)
        self.finish(self.page)


@tornado.web.stream_request_body
class _Photo(_Handler):
    """Take the bytes of one photo as the body of the request, and answer with what it shows."""

    def initialize(self, pool: concurrent.futures.Executor, waiting: set, **given) -> None:
        super().initialize(**given)
        self.pool, self.waiting, self.refusal, self.gone, self.working = pool, waiting, None, False, False
        self.data = bytearray()

    def prepare(self) -> None:
        super().prepare()
        self.request.connection.set_max_body_size(_MAX_PASSED_BYTES)
        length = self.request.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > MAX_BYTES:
            self._refuse_size()
        elif len(self.waiting) >= MOST_WAITING:
            self.refusal = f"{MOST_WAITING} photos are waiting already, more than this page takes: try again soon.", 503
        else:
            self.waiting.add(self)

    def _refuse_size(self) -> None:
        self.refusal = f"The file is larger than {MAX_BYTES // 10**6} MB: save the photo as a smaller JPEG.", 413
        self.data.clear()
        self._leave()

    def data_received(self, chunk: bytes) -> None:
        if not self.refusal:
            self.data += chunk
            if len(self.data) > MAX_BYTES:
                self._refuse_size()

    async def post(self) -> None:
        if self.refusal:
            return self.say(*self.refusal)
        self.working = True
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self.pool, self._answer)
        except InputError as error:
            return self.say(str(error), 422)
        finally:
            self.working = False
            self._leave()
        if answer:
            local = _is_loopback(self.request.remote_ip)
            self.finish(answer | {"correctable": local and answer["label"] is not None})

    def _answer(self) -> dict | None:
        data, self.data = bytes(self.data), bytearray()
        return None if self.gone else self.answers.answer(data)

    def _leave(self) -> None:
        if not self.working:
            self.waiting.discard(self)

    def on_finish(self) -> None:
        self._leave()

    def on_connection_close(self) -> None:
        self.gone = True
        self._leave()


class _Correction(_Handler):
    """Add a correction of a photo of the run; only for someone at this machine."""

    def post(self) -> None:
        if not _is_loopback(self.request.remote_ip):
            return self.say("Labels can be corrected only on the machine that serves this page.", 403)
        try:
            said = json.loads(self.request.body)
            sha256, number, why = str(said["sha256"]), said["to"], str(said["why"])[:300]
            to_class = self.answers.corrections.class_names[range(len(self.answers.corrections.class_names))[number]]
        except (ValueError, KeyError, TypeError, IndexError):
            return self.say("This is not a correction: reload the page and try again.", 400)
        try:
            row = self.answers.corrections.add(sha256, to_class, why)
        except InputError as error:
            return self.say(visible(str(error)), 422)
        self.finish({"from": visible(row["class_name"]), "to": visible(to_class)})


def _page(answers: Answers) -> tuple[str, str]:
    """Make the page, and the policy that allows a browser its own style and script alone."""
    templates = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    style, script = (Markup((_TEMPLATES / name).read_text(encoding="utf-8")) for name in ("app.css", "app.js"))
    page = templates.from_string((_TEMPLATES / "app.html").read_text(encoding="utf-8")).render(
        name=visible(answers.run.folder.resolve().name),
        notice=visible(answers.run.notice()),
        lacking=visible(answers.lacking),
        class_names=[visible(name) for name in answers.class_names],
        choices=[visible(name) for name in answers.corrections.class_names],
        max_bytes=MAX_BYTES,
        max_megapixels=MAX_MEGAPIXELS,
        style=style,
        script=script,
    )
    policy = (
        f"default-src 'none'; img-src data:; connect-src 'self'; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy


def _hash(text: str) -> str:
    """Return the hash of a style or script that the browser may use (CSP level 2)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _bind(host: str, port: int) -> list[socket.socket]:
    if not 0 <= port <= 65535:
        raise InputError(f"port {port} is out of range: expected 1 to 65535, or 0 for a free one")
    try:
        sockets = tornado.netutil.bind_sockets(port, host)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"the page cannot be served at {host!r}, port {port} ({reason}): name another port (--port 0 takes a free "
            "one) or address (--host 127.0.0.1)"
        ) from None
    if not sockets:
        raise InputError(f"{host!r} has no address on this machine: use --host 127.0.0.1")
    return sockets


def _address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _name(host: str) -> str:
    """Return the name in a request's Host, without the port; "" if it is malformed."""
    try:
        return urllib.parse.urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_ip(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _is_loopback(address: str) -> bool:
    return _is_ip(address) and ipaddress.ip_address(address).is_loopback


def warn_if_open(host: str) -> None:
    """Say on stderr who else can use the page."""
    if host != "localhost" and not _is_loopback(host):
        print(
            "bears: everyone who can reach this address can classify photos and sees similar training photos; labels "
            "can be corrected only on this machine",
            file=sys.stderr,
        )
