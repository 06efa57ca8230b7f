"""A table of answers that grows by a row per photo, and is continued after an interruption."""

import array
import collections
import contextlib
import csv
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError, reason_of
from bears_tl.files import atomic_path, csv_lines, write_error
from bears_tl.judging.predictions import probabilities_of
from bears_tl.lock import one_at_a_time
from bears_tl.serving.predictor import Predictor

FORMATS = (".csv", ".jsonl")
_MADE_FROM = ["bytes", "modified", "model"]  # size and time of the file (in ns since 1970), and `Predictor.identity`


class Ledger:
    """The answers to photo files, in a CSV file or in JSON lines; make it with `opened`.

    Attributes:
        path: the file.
        kept: how many answers it had before.
        skipped: how many photos were not classified again, because their answer is kept.
    """

    def __init__(self, path: Path, predictor: Predictor, extra: list[str]):
        self.path, self.kept, self.skipped = path, 0, 0
        self._predictor, self._model, self._is_csv = predictor, predictor.identity(), path.suffix == ".csv"
        shares = [f"probability_{name}" for name in predictor.class_names]
        self.columns = ["path", *extra, "error", "predicted", "known", "strangeness", *shares, *_MADE_FROM]
        self._done = np.empty(0, np.uint64)  # 8 bytes per photo, where a set of names would take 200

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: str | Path, predictor: Predictor, extra: tuple[str, ...] = ()) -> Iterator["Ledger"]:
        """Start or continue a file; one process at a time.

        An answer of an earlier call is kept if it is by the same model and the file has the same size and time, or is
        gone. Errors are dropped, so those photos are tried again, and so is a line that a killed process cut off.

        Args:
            path: ends with .csv or .jsonl.
            predictor: what answers.
            extra: further columns of the table, see `write`.

        Raises:
            InputError: another ending; the file holds something else, or answers of another model; or it cannot be
                written.
        """
        path = Path(path)
        if path.suffix not in FORMATS:
            raise InputError(f"{str(path)!r} is no table of answers: expected a name that ends with .csv or .jsonl")
        with one_at_a_time(path, f"the answers in {path}"):
            answers = cls(path, predictor, list(extra))
            answers._continue()
            try:
                answers._file = open(path, "ab")  # noqa: SIM115
            except OSError as error:
                raise write_error(path, error) from error
            with answers._file:
                yield answers

    def to(self, paths: Iterable[str | Path], total: int | None = None) -> Iterator[dict]:
        """Classify the photos that have no answer yet, see `Predictor.predict`; memory does not grow with their number.

        Args:
            paths: of photos.
            total: their number, for the progress bar.

        Yields:
            Rows as of `Predictor.predict`, with bytes, modified and model. They are not written yet.
        """
        from tqdm import tqdm

        states: collections.deque = collections.deque()  # of files that are being read
        with tqdm(total=total, desc="Photos", unit=" photos", disable=None, leave=False) as progress:

            def waiting():
                for path in paths:
                    if self._has(path):
                        self.skipped += 1
                        progress.update()
                    else:
                        states.append(_state(path))
                        yield path

            for row in self._predictor.predict(waiting()):
                yield row | dict(zip(_MADE_FROM, (*states.popleft(), self._model), strict=True))
                progress.update()

    def write(self, row: dict) -> None:
        """Append a row of `to`, with the extra columns.

        Raises:
            InputError: the disk is full, or the file cannot be written.
        """
        try:
            self._file.write(self._line(row if self._is_csv else self._as_json(row)))
            self._file.flush()
        except OSError as error:
            raise write_error(self.path, error) from error

    def rows(self) -> Iterator[dict]:
        """Yield the rows of the file, values as in it, but not a last one that was cut off.

        Raises:
            InputError: the file holds something else, or answers of another model.
        """
        with open(self.path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            whole = itertools.takewhile(lambda line: line.endswith("\n"), file)
            try:
                for row in self._of_csv(whole) if self._is_csv else map(json.loads, whole):
                    if row["model"] != self._model:
                        raise InputError(
                            f"{str(self.path)!r} holds answers of another model or of an earlier training: name "
                            "another file, or move it away"
                        )
                    yield row
            except (ValueError, KeyError, TypeError, csv.Error) as error:
                raise InputError(
                    f"{str(self.path)!r} exists, but is no table of answers of this run ({reason_of(error)}): name "
                    "another place"
                ) from None

    def _of_csv(self, lines: Iterator[str]) -> Iterator[dict]:
        table = csv.reader(lines)
        columns = next(table, self.columns)
        if columns != self.columns:
            raise ValueError("other columns")
        for row in table:
            if len(row) == len(columns):
                yield dict(zip(columns, row, strict=True))
            elif next(table, None) is not None:  # a row within which a name has a line break may be cut off, too
                raise ValueError(f"line {table.line_num} is damaged")

    def _continue(self) -> None:
        """Write the file again, with the answers that still hold."""
        done = array.array("Q")
        with atomic_path(self.path) as temporary, open(temporary, "wb") as file:
            if self._is_csv:
                file.write(self._line(dict(zip(self.columns, self.columns, strict=True))))
            for row in self.rows() if self.path.exists() else ():
                state = _state(row["path"])
                if not row.get("error") and state in (("", ""), (str(row["bytes"]), str(row["modified"]))):
                    file.write(self._line(row))
                    done.append(_key(row["path"]))
        self._done, self.kept = np.sort(np.array(done, np.uint64)), len(done)

    def _line(self, row: dict) -> bytes:
        if self._is_csv:
            (line,) = csv_lines([[row.get(column, "") for column in self.columns]])
            return line.encode("utf-8", "surrogateescape")
        return f"{json.dumps(row)}\n".encode()

    def _as_json(self, row: dict) -> dict:
        shown = {name: row[name] for name in self.columns if name in row and not name.startswith("probability_")}
        shown |= {name: int(row[name]) for name in ("bytes", "modified") if row[name]}
        return shown | as_json(row, self._predictor.class_names)

    def _has(self, path: str | Path) -> bool:
        place = np.searchsorted(self._done, key := _key(path))
        return place < len(self._done) and self._done[place] == key


def as_json(row: dict, class_names: list[str]) -> dict:
    """Turn a row of `Predictor.predict` into plain values: path and error, or predicted and probabilities by class."""
    if "error" in row:
        return {"path": row["path"], "error": row["error"]}
    shares = probabilities_of([row], class_names)[0].astype(float).tolist()
    answer = {"path": row["path"], "predicted": row["predicted"]}
    answer |= {"probabilities": dict(zip(class_names, shares, strict=True))}
    if "known" in row:
        answer |= {"known": row["known"] == "true", "strangeness": float(row["strangeness"])}
    return answer


def _state(path: str | Path) -> tuple[str, str]:
    """Return size and time of a file, as text; empty if it cannot be found."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return "", ""
    return str(found.st_size), str(found.st_mtime_ns)


def _key(path: str | Path) -> np.uint64:
    name = os.path.abspath(path).encode("utf-8", "surrogateescape")
    return np.uint64(int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()))
