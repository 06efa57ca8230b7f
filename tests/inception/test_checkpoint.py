import tarfile

import numpy as np
import pytest

from bears_tl.errors import InputError
from bears_tl.inception import checkpoint

VALUES = {"InceptionV3/a/weights": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(4, np.float32)}
SHAPES = {name: value.shape for name, value in VALUES.items()}


@pytest.fixture
def written(tmp_path):
    checkpoint.write(tmp_path / "small.ckpt", VALUES)
    return tmp_path / "small.ckpt"


def test_what_is_written_is_read_and_zeros_are_values(written):
    values = checkpoint.read(written, SHAPES)
    assert list(values) == list(VALUES)
    assert all(np.array_equal(values[name], VALUES[name]) for name in VALUES)


def test_only_the_file_itself_is_left(written):
    assert [path.name for path in written.parent.iterdir()] == ["small.ckpt"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"c": (1,)}, "1 missing (c)"),
        ({"b": (5,)}, "1 misshapen (b [4] instead of [5])"),
        ({"b": None}, "1 extra (b)"),
    ],
)
def test_another_networks_inventory_is_refused_and_the_variable_named(written, change, fault):
    expected = {name: shape for name, shape in (SHAPES | change).items() if shape is not None}
    with pytest.raises(InputError) as raised:
        checkpoint.read(written, expected)
    assert fault in str(raised.value)


def test_heads_and_step_counter_may_be_there(tmp_path):
    extra = {"InceptionV3/Logits/x": np.zeros(1, np.float32), "InceptionV3/AuxLogits/y": np.zeros(1, np.float32)}
    checkpoint.write(tmp_path / "more.ckpt", VALUES | extra | {"global_step": np.zeros((), np.int64)})
    assert list(checkpoint.read(tmp_path / "more.ckpt", SHAPES)) == list(SHAPES)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><html>Quota exceeded</html>", "web page"),
        (b"", "not a TensorFlow checkpoint"),
        (b"\x00\x01" * 5000, "not a TensorFlow checkpoint"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused_in_one_line(tmp_path, content, words):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        checkpoint.inventory(path)
    assert words in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(written, share):
    data = written.read_bytes()
    written.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError):
        checkpoint.read(written, SHAPES)


def test_values_that_are_not_finite_are_refused(tmp_path):
    checkpoint.write(tmp_path / "nan.ckpt", VALUES | {"b": np.full(4, np.nan, np.float32)})
    with pytest.raises(InputError, match=r"in b that are not finite"):
        checkpoint.read(tmp_path / "nan.ckpt", SHAPES)


def test_a_missing_checkpoint_is_named():
    with pytest.raises(InputError, match=r"no checkpoint at 'nowhere\.ckpt'"):
        checkpoint.inventory("nowhere.ckpt")


def pack(path, names_to_files):
    with tarfile.open(path, "w:gz") as archive:
        for name, file in names_to_files.items():
            archive.add(file, name)
    return path


def test_an_archive_is_unpacked_once_and_anew_when_it_changes(written, tmp_path):
    packed = pack(tmp_path / "inception.tar.gz", {"inception_v3.ckpt": written})
    unpacked = checkpoint.unpack(packed, tmp_path / "kept")
    assert unpacked.read_bytes() == written.read_bytes()
    assert checkpoint.unpack(packed, tmp_path / "kept") == unpacked
    pack(packed, {"./other/inception_v3.ckpt": written, "readme.txt": __file__})
    assert checkpoint.unpack(packed, tmp_path / "kept") != unpacked
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_broken_archives_leave_nothing(written, tmp_path):
    packed = pack(tmp_path / "inception.tar.gz", {"inception_v3.ckpt": written})
    packed.write_bytes(packed.read_bytes()[:-40])
    none = pack(tmp_path / "none.tar.gz", {"readme.txt": __file__})
    for path in (packed, none):
        for use in (lambda path: checkpoint.unpack(path, tmp_path / "kept"), checkpoint.check):
            with pytest.raises(InputError):
                use(path)
    assert not list(tmp_path.glob("kept/*"))
