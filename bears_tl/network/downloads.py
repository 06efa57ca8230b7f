"""Download many photos from one server: a few at a time, with retries, each complete and none twice."""

import concurrent.futures
import dataclasses
import io
import threading
import time
import warnings
from pathlib import Path

from bears_tl.errors import InputError, NotReachableError, reason_of
from bears_tl.files import write_bytes
from bears_tl.network.download import CHUNK_BYTES
from bears_tl.network.responses import TransientError, refuse_page, refuse_status, retrying

USER_AGENT = "bears_tl/0.1 (builds a set of licensed photos; fetches each once)"
JPEG_FORMATS = ("JPEG", "MPO")  # MPO: two or more JPEGs in one file, written by some cameras
_MOST_MEGAPIXELS = 200  # a small file may claim 4,000 megapixels, and decoding it takes 12 GB
TOLERATED_FAILURES = 10  # give up when more photos than this, and more than half of those tried, are unavailable


@dataclasses.dataclass(frozen=True)
class FetchLimits:
    """How many requests a server gets, how long to wait for it, and how large a photo may be."""

    connections: int = 8
    timeout_seconds: tuple[float, float] = (5, 30)  # to connect, between bytes
    attempts: int = 4
    backoff_seconds: float = 1  # before the second attempt; doubles with each further attempt
    max_wait_seconds: float = 120  # give up if the server asks for a longer wait
    max_bytes: int = 50 * 10**6  # of one photo


def fetch_photos(addresses: dict[Path, str], description: str, limits: FetchLimits | None = None) -> dict[Path, str]:
    """Download the JPEG at each address to its path; complete photos that are already there are skipped.

    Args:
        addresses: path of each photo -> its address.
        description: name of the photos in the progress bar.
        limits: connections, timeouts, attempts and size; see `FetchLimits`.

    Returns:
        The photos that are unavailable, path -> reason: gone, a web page, too large, not a JPEG, damaged.

    Raises:
        NotReachableError: the server cannot be reached or keeps failing, or most photos are unavailable. Photos
            fetched so far are kept.
        InputError: a photo cannot be written.
    """
    from tqdm import tqdm

    fetcher = _Fetcher(limits or FetchLimits())
    failed = {}
    with warnings.catch_warnings(), concurrent.futures.ThreadPoolExecutor(fetcher.limits.connections) as pool:
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata and large images; intake handles both
        jobs = {pool.submit(fetcher.fetch, path, address): path for path, address in addresses.items()}
        finished = concurrent.futures.as_completed(jobs)
        bar = tqdm(finished, description, len(jobs), unit=" photos", disable=None, leave=False)
        try:
            for count, job in enumerate(bar, 1):
                if reason := job.result():
                    failed[jobs[job]] = reason
                if len(failed) > max(TOLERATED_FAILURES, count / 2):
                    raise NotReachableError(
                        f"{len(failed)} of the first {count} photos of {description!r} are unavailable, for example "
                        f"{reason}: check the address of the photos and the network"
                    )
        finally:
            fetcher.stopped.set()
            pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C, skip the remaining photos
    return failed


class _Fetcher:
    """State shared by the threads: the time of the next allowed request, and whether to stop."""

    def __init__(self, limits: FetchLimits):
        self.limits, self.stopped = limits, threading.Event()
        self.next_request_at = 0.0  # on the monotonic clock
        self.own = threading.local()

    def fetch(self, path: Path, address: str) -> str | None:
        """Download one photo; return why it is unavailable, or None."""
        if path.is_file() and not _fault(path.read_bytes()):
            return None
        waits = self.limits.attempts, self.limits.backoff_seconds, self.limits.max_wait_seconds
        try:
            photo = retrying(*waits, sleep=self._pause)(self._receive, address)
        except TransientError as error:
            raise NotReachableError(f"{address!r}: {error}: run again later; photos fetched so far are kept") from None
        except InputError as error:
            return str(error)
        if fault := _fault(photo):
            return f"{address!r} is {fault}"
        write_bytes(path, photo)
        return None

    def _pause(self, seconds: float) -> None:
        """Make all threads wait before their next request, because the server is overloaded or failing."""
        self.next_request_at = time.monotonic() + seconds

    def _receive(self, address: str) -> bytes:
        """Make one request when allowed; raise TransientError if a retry may help, InputError if it cannot."""
        import requests
        import urllib3

        if self.stopped.wait(max(0.0, self.next_request_at - time.monotonic())):
            raise InputError("the download was stopped")
        if not hasattr(self.own, "session"):  # one session per thread: sessions are not thread-safe
            self.own.session = requests.Session()
            self.own.session.headers["User-Agent"] = USER_AGENT
        photo = bytearray()
        try:
            with self.own.session.get(address, stream=True, timeout=self.limits.timeout_seconds) as response:
                refuse_status(response, address)
                for chunk in response.iter_content(CHUNK_BYTES):
                    photo += chunk
                    if len(photo) > self.limits.max_bytes:
                        raise InputError(f"{address!r} sends more than {self.limits.max_bytes:,} bytes")
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise TransientError(f"the connection failed ({type(error).__name__})") from None
        refuse_page(photo[:CHUNK_BYTES], address)
        return bytes(photo)


def _fault(photo: bytes) -> str | None:
    """Return what is wrong with a photo, or None if it is a JPEG that decodes completely."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(photo)) as image:
            if image.format not in JPEG_FORMATS:
                return f"{image.format}, not JPEG"
            if image.width * image.height > _MOST_MEGAPIXELS * 10**6:
                return f"{image.width} x {image.height} px, expected {_MOST_MEGAPIXELS} megapixels at most"
            image.load()
    except Exception as error:  # decoders raise anything from SyntaxError to struct.error on broken files
        return f"not a complete JPEG ({reason_of(error)})"
    return None
