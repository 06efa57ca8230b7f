import errno
import hashlib
import multiprocessing
import os
import zipfile

import numpy as np
import pytest

from bears_tl.features import cache as feature_cache
from bears_tl.features.cache import MISSING, FeatureCache, describe, key
from bears_tl.inception.architecture import POOLED
from bears_tl.photos.views import CENTER, View

VIEWS = [CENTER, View(0, 0, 0.2)]
NAMES = [hashlib.sha256(bytes([i])).hexdigest() for i in range(40)]
ROWS = [(name, view) for name in NAMES for view in VIEWS]


def made_up(count=80):
    return np.random.default_rng(0).random((count, POOLED)).astype(np.float16)


def filled(folder, size=16):
    cache, features = FeatureCache(folder, "f" * 64, "float32"), made_up()
    for start in range(0, len(ROWS), size):
        cache.put(ROWS[start : start + size], features[start : start + size])
    return cache


def everything(cache):
    places = cache.places(NAMES, VIEWS)
    return None if (places == MISSING).any() else cache.read(places.ravel())


def test_features_come_back_bit_for_bit_in_any_order_and_in_another_process_too(tmp_path):
    for cache in (filled(tmp_path), FeatureCache(tmp_path, "f" * 64, "float32")):
        assert len(cache) == 80 and np.array_equal(everything(cache), made_up())
        backwards = cache.places(NAMES[::-1], VIEWS[::-1]).ravel()
        assert np.array_equal(cache.read(backwards), made_up()[::-1])


def test_what_is_not_there_is_missing(tmp_path):
    cache = filled(tmp_path)
    assert (cache.places(["0" * 64], VIEWS) == MISSING).all()
    assert (cache.places(NAMES, [View(1, 0, 0.2), View(0, 1, 0.2), View(0, 0, 0.3)]) == MISSING).all()
    assert cache.places([], VIEWS).shape == (0, 2)


@pytest.mark.parametrize(("fingerprint", "precision"), [("e" * 64, "float32"), ("f" * 64, "bfloat16")])
def test_another_body_or_precision_has_another_cache(tmp_path, fingerprint, precision):
    filled(tmp_path)
    assert len(FeatureCache(tmp_path, fingerprint, precision)) == 0


@pytest.mark.parametrize("version", ["views.VERSION", "architecture.VERSION"])
def test_another_version_of_the_code_finds_nothing(tmp_path, monkeypatch, version):
    filled(tmp_path)
    monkeypatch.setattr(f"bears_tl.features.cache.{version}", 99)
    assert everything(FeatureCache(tmp_path, "f" * 64, "float32")) is None


def test_a_million_views_take_less_than_12_4_gigabytes(tmp_path):
    cache = FeatureCache(tmp_path, "f" * 64, "float32")
    count = feature_cache.SHARD_ROWS
    cache.put([(f"{i:064}", CENTER) for i in range(count)], made_up(count))
    (shard,) = cache.folder.glob("*.npz")
    assert shard.stat().st_size / count * 1_000_000 < 12.4e9


@pytest.mark.parametrize("place", np.linspace(0, 1, 60, endpoint=False))
@pytest.mark.parametrize("bit", [0, 5])
def test_no_flipped_bit_ever_gives_a_wrong_feature(tmp_path, capsys, place, bit):
    folder = filled(tmp_path).folder
    shard = sorted(folder.glob("*.npz"))[2]
    data = bytearray(shard.read_bytes())
    # half of the flips are in the zip's metadata, where they are most dangerous
    spots = [*range(300), *range(len(data) - 400, len(data))] if bit else range(len(data))
    data[spots[int(place * len(spots))]] ^= 1 << bit
    shard.write_bytes(data)
    cache = FeatureCache(tmp_path, "f" * 64, "float32")
    places = cache.places(NAMES, VIEWS).ravel()
    found = places != MISSING
    assert found.sum() in (64, 80) and np.array_equal(cache.read(places[found]), made_up()[found])
    assert found.all() or (shard.name in capsys.readouterr().out and not shard.exists())


@pytest.mark.parametrize("kept", [0, 1, 100, 0.3, 0.99999])
def test_a_cut_shard_is_named_and_left_out(tmp_path, capsys, kept):
    folder = filled(tmp_path).folder
    shard = sorted(folder.glob("*.npz"))[0]
    data = shard.read_bytes()
    shard.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    cache = FeatureCache(tmp_path, "f" * 64, "float32")
    cache.places(NAMES, VIEWS)
    assert len(cache) == 64 and shard.name in capsys.readouterr().out and not shard.exists()


def old_float32(path):
    np.savez(path, keys=np.zeros((2, 32), np.uint8), features=np.zeros((2, POOLED), np.float32))


def compressed(path):
    np.savez_compressed(path, keys=np.zeros((2, 32), np.uint8), features=np.zeros((2, POOLED), np.float16))


def of_another_width(path):
    np.savez(path, keys=np.zeros((2, 32), np.uint8), features=np.zeros((2, 1024), np.float16))


def pickled(path):
    np.savez(path, keys=np.array([{}], object), features=np.zeros((1, POOLED), np.float16))


def without_keys(path):
    np.savez(path, features=np.zeros((2, POOLED), np.float16))


def empty(path):
    np.savez(path, keys=np.zeros((0, 32), np.uint8), features=np.zeros((0, POOLED), np.float16))


def no_archive_of_arrays(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("features.npy", "text")
        archive.writestr("keys.npy", "text")


@pytest.mark.parametrize(
    "write", [old_float32, compressed, of_another_width, pickled, without_keys, empty, no_archive_of_arrays]
)
def test_a_shard_of_another_version_is_named_and_left_out(tmp_path, capsys, write):
    folder = filled(tmp_path).folder
    write(folder / "other.npz")
    cache = FeatureCache(tmp_path, "f" * 64, "float32")
    assert "other.npz" in capsys.readouterr().out and np.array_equal(everything(cache), made_up())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES], ids=errno.errorcode.get)
def test_where_nothing_can_be_written_features_stay_in_memory(tmp_path, monkeypatch, capsys, number):
    def fail(file, **arrays):
        file.write(b"half of it")
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(feature_cache.np, "savez", fail)
    cache = filled(tmp_path)
    assert capsys.readouterr().out.count("not kept") == 1
    assert np.array_equal(everything(cache), made_up()) and not list(cache.folder.iterdir())


def test_a_folder_of_damaged_shards_that_is_closed_to_us_does_not_matter(tmp_path, monkeypatch, capsys):
    folder = filled(tmp_path).folder
    (folder / "broken.npz").write_bytes(b"broken")

    def refuse(path, missing_ok):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(feature_cache.Path, "unlink", refuse)
    assert np.array_equal(everything(FeatureCache(tmp_path, "f" * 64, "float32")), made_up())
    assert "broken.npz" in capsys.readouterr().out


def put_all(folder, start):
    cache = FeatureCache(folder, "f" * 64, "float32")
    for i in range(start, start + len(ROWS)):
        cache.put([ROWS[i % len(ROWS)]], made_up()[[i % len(ROWS)]])


def test_two_processes_fill_one_cache(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=put_all, args=(tmp_path, start)) for start in (0, 30)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert np.array_equal(everything(FeatureCache(tmp_path, "f" * 64, "float32")), made_up())
    assert not list(tmp_path.rglob("*.part"))


def test_pruning_keeps_what_is_to_be_kept_and_fills_shards(tmp_path):
    cache = filled(tmp_path, size=3)
    keep = {key(name, CENTER) for name in NAMES} | {key("0" * 64, CENTER)}
    assert cache.prune(keep) == 40
    for again in (cache, FeatureCache(tmp_path, "f" * 64, "float32")):
        assert len(again) == 40 and len(list(again.folder.glob("*.npz"))) == 1
        assert np.array_equal(again.read(again.places(NAMES, [CENTER]).ravel()), made_up()[::2])
        assert (again.places(NAMES, [VIEWS[1]]) == MISSING).all()
    assert cache.prune(keep) == 0 and len(cache) == 40
    assert cache.prune(set()) == 40 and not list(cache.folder.glob("*.npz"))


def test_a_cache_that_was_pruned_meanwhile_says_so(tmp_path, refused):
    cache = filled(tmp_path)
    places = cache.places(NAMES, VIEWS).ravel()
    FeatureCache(tmp_path, "f" * 64, "float32").prune(set())
    with refused("run again"):
        cache.read(places)


def test_a_cache_is_described(tmp_path):
    assert describe(tmp_path) == []
    size_bytes = sum(shard.stat().st_size for shard in filled(tmp_path).folder.glob("*.npz"))
    assert describe(tmp_path) == [{"name": "f" * 16 + "-float32", "shards": 5, "rows": 80, "bytes": size_bytes}]
