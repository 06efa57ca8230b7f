"""List, read, check and write checkpoints of TF-slim's Inception v3 in TensorFlow's V1 format."""

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

_NOT_OF_THE_BODY = ("InceptionV3/AuxLogits/", "InceptionV3/Logits/", "global_step")


def inventory(path: str | Path) -> dict[str, tuple[int, ...]]:
    """List the variables of a checkpoint.

    Returns:
        Variable name to shape, sorted by name.

    Raises:
        InputError: the file is missing or is not a TensorFlow checkpoint (a web page, truncated, another format).
    """
    shapes = _reader(path).get_variable_to_shape_map()
    return {name: tuple(shapes[name]) for name in sorted(shapes)}


def compare(found: dict[str, tuple], path: str | Path, expected: dict[str, tuple] = BODY) -> None:
    """Compare the variables of a checkpoint with those of the body.

    Args:
        found: variable name to shape, of the checkpoint. Logits, auxiliary logits and the step counter are ignored.
        path: the checkpoint, for the message.
        expected: variable name to shape, of the body.

    Raises:
        InputError: variables are missing, extra or misshapen; the message names the first three of each kind.
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
            f"{str(path)!r} is not a checkpoint of TF-slim's Inception v3: {'; '.join(faults)}. "
            "Use inception_v3_2016_08_28.tar.gz or a checkpoint of the same graph"
        )


def read(path: str | Path, expected: dict[str, tuple] = BODY) -> dict[str, np.ndarray]:
    """Read the values of the body, after checking names and shapes.

    Args:
        path: a V1 (single file) or V2 (prefix) checkpoint.
        expected: variable name to shape.

    Returns:
        Variable name to float32 values, in the order of `expected`.

    Raises:
        InputError: the file is not a checkpoint of Inception v3, is truncated, or holds values that are not finite.
    """
    from bears_tl.tensorflow import tf

    compare(inventory(path), path, expected)
    reader = _reader(path)
    values = {}
    for name in expected:
        try:
            values[name] = np.asarray(reader.get_tensor(name), dtype=np.float32)
        except (tf.errors.OpError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{str(path)!r} is truncated or damaged at {name} ({reason_of(error)}): download it again"
            ) from None
        if not np.isfinite(values[name]).all():
            raise InputError(f"{str(path)!r} holds values in {name} that are not finite numbers: download it again")
    return values


def value(path: str | Path, name: str) -> np.ndarray | None:
    """Read one variable of a checkpoint; None if it has no such variable.

    Raises:
        InputError: as for `inventory`.
    """
    reader = _reader(path)
    return reader.get_tensor(name) if reader.has_tensor(name) else None


def write(path: str | Path, values: dict[str, np.ndarray]) -> None:
    """Write values atomically as a V1 checkpoint, the format that TF-slim published in 2016.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    from tensorflow.core.protobuf import saver_pb2

    from bears_tl.tensorflow import tf

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
    """Check that a file is a TensorFlow checkpoint or a complete archive of one.

    Raises:
        InputError: the file is neither; the message says what it is instead.
    """
    if _is_tar(path):
        _with_member(path, lambda archive, member: None)
    else:
        inventory(path)


def unpack(path: Path, folder: Path) -> Path:
    """Return the .ckpt file of a .tar.gz, unpacked into `folder` once; any other path is returned unchanged.

    The name of the unpacked file contains the archive's hash, so a changed archive is unpacked again.

    Raises:
        InputError: the archive is broken or does not hold exactly one .ckpt file.
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
    """Call `use(archive, member)` with the only .ckpt file in an archive; the whole archive is read."""
    try:
        with tarfile.open(path) as archive:
            members = [member for member in archive if member.isfile() and member.name.endswith(".ckpt")]
            if len(members) != 1:
                raise InputError(
                    f"{str(path)!r} holds {len(members)} .ckpt files, expected one (inception_v3.ckpt): "
                    "use inception_v3_2016_08_28.tar.gz"
                )
            use(archive, members[0])
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{str(path)!r} is a broken archive ({reason_of(error)}): download it again") from None


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (OSError, EOFError):
        return False


def _reader(path: str | Path):
    from bears_tl.tensorflow import tf

    path = str(path)
    if not os.path.exists(path) and not os.path.exists(path + ".index"):
        raise InputError(f"no checkpoint at {path!r}: give a .ckpt or .tar.gz file, or set checkpoint to random")
    with contextlib.suppress(OSError), open(path, "rb") as file:
        refuse_page(file.read(4096), path)
    try:
        return tf.train.load_checkpoint(path)
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{path!r} is not a TensorFlow checkpoint, or it is truncated ({reason_of(error)}): "
            "use the .ckpt or .tar.gz of TF-slim's Inception v3"
        ) from None


@contextlib.contextmanager
def _without_warnings():
    """Suppress TensorFlow's six-line warning about the old V1 format, which is used on purpose."""
    from bears_tl.tensorflow import tf

    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
