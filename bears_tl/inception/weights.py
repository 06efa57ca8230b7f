"""Find the weights of a run: a local file, the published checkpoint, or the stand-in."""

import contextlib
import dataclasses
import hashlib
from pathlib import Path

from bears_tl.config import check_checkpoint
from bears_tl.errors import InputError, NotReachableError
from bears_tl.files import read_json, sha256_of, write_json
from bears_tl.inception import checkpoint
from bears_tl.inception.architecture import BODY, CONVOLUTIONS

# https://github.com/tensorflow/models/tree/master/research/slim#pre-trained-models
OFFICIAL_URL = "https://download.tensorflow.org/models/inception_v3_2016_08_28.tar.gz"
LOCK_NAME = "lock.json"
STAND_IN_VERSION = 2  # increase it when its values change, so that an old stand-in on disk is not used
KINDS = {  # kind to what to call it
    "stand_in": "a stand-in with random weights",
    "named_official": "named like the official one",
    "local": "a checkpoint of TF-slim's Inception v3",
}


@dataclasses.dataclass(frozen=True)
class Weights:
    """A checkpoint file: its path, kind and SHA-256.

    Every checkpoint that is accepted has the variables of TF-slim's Inception v3: 376 of the body, 21,802,784 values.
    The kind, a key of KINDS, says what else is known. The name of the published file does not prove its content, and
    its SHA-256 is not known here.
    """

    path: Path
    kind: str
    fingerprint: str
    variables: dict[str, tuple[int, ...]]


def find(setting: str, folder: str | Path, seed: int, official_url: str = OFFICIAL_URL) -> Weights:
    """Find or download the checkpoint for a setting.

    Args:
        setting: `auto` (a file in the folder, else the official download, else the stand-in), `random` (the stand-in),
            a path, or a URL. Only `auto` falls back.
        folder: the folder of checkpoints.
        seed: the seed of the stand-in.
        official_url: the address of the published checkpoint.

    Raises:
        InputError: the file is missing or is not a checkpoint.
        NotReachableError: a URL could not be fetched.
    """
    folder = Path(folder)
    if setting == "random":
        return _stand_in(folder, seed)
    if setting == "auto":
        for name in (_name_of(official_url), "inception_v3.ckpt"):
            if (folder / name).is_file():
                return _at(folder / name, folder)
        try:
            return _fetched(official_url, folder / _name_of(official_url), attempts=1)
        except NotReachableError as error:
            print(
                f"The published weights could not be fetched ({error}). Using the stand-in body with random weights; "
                f"for real results, put {_name_of(official_url)} into {folder}/ and run again."
            )
            return _stand_in(folder, seed)
    if setting.startswith(("http://", "https://")):
        # many sites have an inception_v3.ckpt, so add a hash of the address to the file name
        other = "" if setting == official_url else f"{hashlib.sha256(setting.encode()).hexdigest()[:8]}-"
        return _fetched(setting, folder / f"{other}{_name_of(setting)}")
    check_checkpoint(setting)
    return _at(Path(setting), folder)


def _fetched(url: str, path: Path, **options) -> Weights:
    from bears_tl.network.download import download

    download(url, path, lock=path.parent / LOCK_NAME, description="the weights", check=checkpoint.check, **options)
    return _at(path, path.parent)


def _at(path: Path, folder: Path) -> Weights:
    path = checkpoint.unpack(path, folder)
    digest = fingerprint(path)
    variables, is_stand_in = _content(path, digest, folder)
    kind = "named_official" if path.name.startswith(_name_of(OFFICIAL_URL).split(".")[0] + "-") else "local"
    return Weights(path, "stand_in" if is_stand_in else kind, digest, variables)


def _content(path: Path, digest: str, folder: Path) -> tuple[dict[str, tuple[int, ...]], bool]:
    """Return the variables of a checkpoint, name to shape, and whether it holds a stand-in, whatever its name.

    Both are kept in the folder of checkpoints: reading a checkpoint needs TensorFlow, whose import takes seconds. The
    betas of a stand-in's first layers are all 1.
    """
    stored = folder / f"{digest[:16]}.json"
    with contextlib.suppress(InputError, OSError, KeyError, TypeError, AttributeError, ValueError):  # missing, damaged
        known = read_json(stored)
        if known["fingerprint"] == digest and BODY.keys() <= known["variables"].keys():
            return {name: tuple(shape) for name, shape in known["variables"].items()}, bool(known["is_stand_in"])
    variables = checkpoint.inventory(path)
    betas = [checkpoint.value(path, f"{scope}/BatchNorm/beta") for scope in CONVOLUTIONS[:3]]
    is_stand_in = all(beta is not None and bool((beta == 1).all()) for beta in betas)
    if BODY.keys() <= variables.keys():
        with contextlib.suppress(InputError):  # the folder cannot be written: the next run reads the checkpoint again
            write_json(stored, {"fingerprint": digest, "is_stand_in": is_stand_in, "variables": variables})
    return variables, is_stand_in


def fingerprint(path: str | Path) -> str:
    """Return the SHA-256 of a checkpoint; for TensorFlow's V2 format of several files, that of its index.

    Raises:
        FileNotFoundError: the checkpoint is missing.
    """
    path = Path(path)
    return sha256_of(path if path.is_file() else Path(f"{path}.index"))


def _stand_in(folder: Path, seed: int) -> Weights:
    path = folder / f"stand_in_{STAND_IN_VERSION}_seed_{seed}.ckpt"
    if not path.is_file():
        from bears_tl.inception import stand_in

        stand_in.make(path, seed)
    digest = sha256_of(path)
    return Weights(path, "stand_in", digest, _content(path, digest, folder)[0])


def _name_of(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2].partition("?")[0]
