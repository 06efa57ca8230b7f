"""The checkpoint file: a TF-slim Inception v3 in TensorFlow's V1 format; its inventory, reading and writing it."""

import contextlib
import os
import shutil
import tarfile
import zlib
from pathlib import Path

import numpy as np

from bears_tl.errors import InputError, reason_of
from bears_tl.files import atomic_path, sha256_of
from bears_tl.inception.architecture import BODY
from bears_tl.network.responses import refuse_page
from bears_tl.tensorflow import tf

_NOT_OF_THE_BODY = ("InceptionV3/AuxLogits/", "InceptionV3/Logits/", "global_step")


def inventory(path: str | Path) -> dict[str, tuple[int, ...]]:
    """List what a checkpoint holds.

    Returns:
        Variable name to shape, sorted by name.

    Raises:
        InputError: not there, or not a TensorFlow checkpoint (a web page, truncated, another file).
    """
    shapes = _reader(path).get_variable_to_shape_map()
    return {name: tuple(shapes[name]) for name in sorted(shapes)}


def compare(found: dict[str, tuple], path: str | Path, expected: dict[str, tuple] = BODY) -> None:
    """Hold a checkpoint's inventory against the body's.

    Args:
        found: variable name to shape, of the checkpoint; logits, auxiliary logits and the step counter are not
            compared.
        path: the checkpoint, for the message.
        expected: variable name to shape, of the body.

    Raises:
        InputError: a missing, extra or misshapen variable; the first of each kind are named.
    """
    missing = sorted(set(expected) - set(found))
    extra = sorted(name for name in set(found) - set(expected) if not name.startswith(_NOT_OF_THE_BODY))
    misshapen = [
        f"{name} {list(found[name])} instead of {list(expected[name])}"
        for name in sorted(set(expected) & set(found))
        if tuple(found[name]) != tuple(expected[name])
    ]
    faults = [
        f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for kind, names in (("missing", missing), ("extra", extra), ("misshapen", misshapen))
        if names
    ]
    if faults:
        raise InputError(
            f"{str(path)!r} is not a checkpoint of Inception v3 as TF-slim names it: {'; '.join(faults)}. "
            "Name inception_v3_2016_08_28.tar.gz or a checkpoint made from the same graph"
        )


def read(path: str | Path, expected: dict[str, tuple] = BODY) -> dict[str, np.ndarray]:
    """Read the values of the body, after comparing the inventories.

    Args:
        path: a V1 (single file) or V2 (prefix) checkpoint.
        expected: variable name to shape.

    Returns:
        Variable name to float32 values, in the order of `expected`.

    Raises:
        InputError: not a checkpoint, another network's, truncated, or values that are not finite. Zeros are values.
    """
    compare(inventory(path), path, expected)
    reader = _reader(path)
    values = {}
    for name in expected:
        try:
            values[name] = np.asarray(reader.get_tensor(name), dtype=np.float32)
        except (tf.errors.OpError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{str(path)!r} breaks off or is damaged at {name} ({reason_of(error)}): fetch it again"
            ) from None
        if not np.isfinite(values[name]).all():
            raise InputError(f"{str(path)!r} holds values in {name} that are not finite numbers: fetch it again")
    return values


def write(path: str | Path, values: dict[str, np.ndarray]) -> None:
    """Write values as a V1 checkpoint, the format of the file that TF-slim published in 2016; whole or not at all.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    from tensorflow.core.protobuf import saver_pb2

    compat = tf.compat.v1
    with tf.Graph().as_default(), compat.Session(config=compat.ConfigProto(device_count={"GPU": 0})) as session:
        initials = {name: compat.placeholder(value.dtype, value.shape) for name, value in values.items()}
        variables = {
            name: compat.get_variable(name, initializer=initial, use_resource=False)
            for name, initial in initials.items()
        }
        saver = compat.train.Saver(variables, write_version=saver_pb2.SaverDef.V1)
        session.run(compat.global_variables_initializer(), {initials[name]: values[name] for name in values})
        with atomic_path(path) as temporary, _without_warnings():
            try:
                saver.save(session, str(temporary.resolve()), write_meta_graph=False, write_state=False)
            except tf.errors.OpError as error:
                raise InputError(f"{str(path)!r} could not be written: {reason_of(error)}") from None


def check(path: Path) -> None:
    """Refuse a file that is neither a TensorFlow checkpoint nor a whole archive of one.

    Raises:
        InputError: what it is instead.
    """
    if _is_tar(path):
        _with_member(path, lambda archive, member: None)
    else:
        inventory(path)


def unpack(path: Path, folder: Path) -> Path:
    """Give the .ckpt of a .tar.gz, unpacked into `folder` once; any other path is given back as it is.

    The unpacked file's name carries the archive's hash, so that a changed archive is never taken for the old one.

    Raises:
        InputError: a broken archive, or one without exactly one .ckpt file.
    """
    if not _is_tar(path):
        return path
    target = folder / f"{path.name.split('.')[0]}-{sha256_of(path)[:12]}.ckpt"
    if target.is_file():
        return target

    def copy(archive, member):
        with atomic_path(target) as temporary, open(temporary, "wb") as file:
            shutil.copyfileobj(archive.extractfile(member), file, 1 << 20)

    _with_member(path, copy)
    return target


def _with_member(path: Path, use) -> None:
    """Call `use(archive, member)` with the only .ckpt file in an archive; all of the archive is read."""
    try:
        with tarfile.open(path) as archive:
            members = [member for member in archive if member.isfile() and member.name.endswith(".ckpt")]
            if len(members) != 1:
                raise InputError(f"{str(path)!r} holds {len(members)} .ckpt files, expected one (inception_v3.ckpt)")
            use(archive, members[0])
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{str(path)!r} is a broken archive ({reason_of(error)}): fetch it again") from None


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (OSError, EOFError):
        return False


def _reader(path: str | Path):
    path = str(path)
    if not os.path.exists(path) and not os.path.exists(path + ".index"):
        raise InputError(f"no checkpoint at {path!r}: name a .ckpt or .tar.gz file, or use checkpoint: random")
    with contextlib.suppress(OSError), open(path, "rb") as file:
        refuse_page(file.read(4096), path)
    try:
        return tf.train.load_checkpoint(path)
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{path!r} is not a TensorFlow checkpoint, or it is truncated ({reason_of(error)}): "
            "expected the .ckpt or .tar.gz of TF-slim's Inception v3"
        ) from None


@contextlib.contextmanager
def _without_warnings():
    """Keep TensorFlow from warning, in six lines, that the format of 2016 is an old one: it is meant."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
