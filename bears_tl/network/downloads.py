"""Bring many photos from one server: a few at a time, patiently, each whole or not at all, none twice."""

import concurrent.futures
import dataclasses
import io
import threading
import time
import warnings
from pathlib import Path

from bears_tl.errors import InputError, NotReachableError
from bears_tl.files import write_bytes
from bears_tl.network.download import CHUNK_BYTES
from bears_tl.network.responses import PassingError, refuse_page, refuse_status, retrying

USER_AGENT = "bears_tl/0.1 (builds a set of licensed photos; fetches each once)"
JPEG_FORMATS = ("JPEG", "MPO")  # the second: a JPEG with another one behind it, which some cameras write
TOLERATED_REFUSALS = 10  # photos that are gone, before it is checked whether most of them are


@dataclasses.dataclass(frozen=True)
class Manners:
    """How a server is treated."""

    connections: int = 8
    timeout_seconds: tuple[float, float] = (5, 30)  # to connect, between bytes
    attempts: int = 4
    backoff_seconds: float = 1  # before the second attempt; doubled for each one more
    max_wait_seconds: float = 120  # a server that asks for a longer wait is given up
    max_bytes: int = 50 * 10**6  # of one photo


def fetch_photos(addresses: dict[Path, str], description: str, manners: Manners | None = None) -> dict[Path, str]:
    """Bring the JPEG of each address to its path; one that is there and whole is not fetched again.

    Args:
        addresses: where each photo goes -> its address.
        description: what to call them in the progress bar.
        manners: how the server is treated.

    Returns:
        Those that cannot be had, path -> why: gone, a web page, too large, no JPEG, damaged.

    Raises:
        NotReachableError: the server cannot be reached or refuses to work, or most photos cannot be had. What came
            until then stays.
        InputError: a photo cannot be written.
    """
    from tqdm import tqdm

    courier = _Courier(manners or Manners())
    refused = {}
    with warnings.catch_warnings(), concurrent.futures.ThreadPoolExecutor(courier.manners.connections) as pool:
        warnings.simplefilter("ignore")  # what Pillow warns of (odd metadata, large images) intake will judge
        jobs = {pool.submit(courier.bring, path, address): path for path, address in addresses.items()}
        finished = concurrent.futures.as_completed(jobs)
        bar = tqdm(finished, description, len(jobs), unit=" photos", disable=None, leave=False)
        try:
            for count, job in enumerate(bar, 1):
                if reason := job.result():
                    refused[jobs[job]] = reason
                if len(refused) > max(TOLERATED_REFUSALS, count / 2):
                    raise NotReachableError(
                        f"{len(refused)} of the first {count} photos of {description!r} cannot be had, for example "
                        f"{reason}: check the address of the photos and the network"
                    )
        finally:
            courier.stopped.set()
            pool.shutdown(cancel_futures=True)  # after a fault or Ctrl-C, do not fetch the rest first
    return refused


class _Courier:
    """What the threads share: when the server may get the next request, and whether the work is to end."""

    def __init__(self, manners: Manners):
        self.manners, self.stopped = manners, threading.Event()
        self.next_request_at = 0.0  # on the monotonic clock
        self.own = threading.local()

    def bring(self, path: Path, address: str) -> str | None:
        """Bring one photo; return why it cannot be had, or None."""
        if path.is_file() and not _fault(path.read_bytes()):
            return None
        waits = self.manners.attempts, self.manners.backoff_seconds, self.manners.max_wait_seconds
        try:
            photo = retrying(*waits, sleep=self._leave_alone)(self._receive, address)
        except PassingError as error:
            raise NotReachableError(f"{address!r}: {error}: run again later, what came is kept") from None
        except InputError as error:
            return str(error)
        if fault := _fault(photo):
            return f"{address!r} is {fault}"
        write_bytes(path, photo)
        return None

    def _leave_alone(self, seconds: float) -> None:
        """Have all threads wait before their next request, for the server is in trouble."""
        self.next_request_at = time.monotonic() + seconds

    def _receive(self, address: str) -> bytes:
        """Make one request when it is time; raise PassingError where another may help, InputError for what is final."""
        import requests
        import urllib3

        if self.stopped.wait(max(0.0, self.next_request_at - time.monotonic())):
            raise InputError("the work was ended")
        if not hasattr(self.own, "session"):  # a session is not made to be shared by threads
            self.own.session = requests.Session()
            self.own.session.headers["User-Agent"] = USER_AGENT
        photo = bytearray()
        try:
            with self.own.session.get(address, stream=True, timeout=self.manners.timeout_seconds) as response:
                refuse_status(response, address)
                for chunk in response.iter_content(CHUNK_BYTES):
                    photo += chunk
                    if len(photo) > self.manners.max_bytes:
                        raise InputError(f"{address!r} sends more than {self.manners.max_bytes:,} bytes")
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise PassingError(f"the connection failed ({type(error).__name__})") from None
        refuse_page(photo[:CHUNK_BYTES], address)
        return bytes(photo)


def _fault(photo: bytes) -> str | None:
    """Say what is wrong with a photo, or None if it is a JPEG that can be decoded to its end."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(photo)) as image:
            if image.format not in JPEG_FORMATS:
                return f"{image.format}, not JPEG"
            image.load()
    except Exception as error:  # decoders raise anything from SyntaxError to struct.error on broken files
        return f"no whole JPEG ({type(error).__name__})"
    return None
