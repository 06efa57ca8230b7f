"""Copies join a photo's group, other photos do not, and the fast search finds the same as comparing all pairs."""

import io
import itertools
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from bears_tl.photos import groups
from bears_tl.photos.groups import HASHES, find_groups, perceptual_hashes
from bears_tl.photos.image import read_image
from bears_tl.photos.intake import take_in
from bears_tl.photos.sample import CLASS_NAMES, paint

LOW = [(row, column) for row, column in np.ndindex(7, 7) if (row, column) != (0, 0)]  # places among the 16 x 16 bits
HIGH = [(row, column) for row, column in np.ndindex(16, 16) if row > 6 or column > 6]


def jpeg(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    return Image.open(file).convert("RGB")


def third(image):
    return image.resize((image.width // 3, image.height // 3), Image.Resampling.LANCZOS)


def cropped(image, left, top, right, bottom):
    """Cut off these shares of the sides."""
    width, height = image.size
    return image.crop(
        (round(left * width), round(top * height), *(round((1 - right) * width), round((1 - bottom) * height)))
    )


def at_random(image):
    draw = random.Random(image.tobytes()[:3000])
    return cropped(image, *(draw.uniform(0, 0.05) for _ in range(4)))


def brighter(image, factor=1.2):
    return ImageEnhance.Brightness(image).enhance(factor)


def grey(image):
    return image.convert("L").convert("RGB")


def all_together(image):
    return jpeg(grey(brighter(third(cropped(ImageOps.mirror(image), 0.05, 0.05, 0.05, 0.05)))))


COPIES = {
    "a third of the size": third,
    "JPEG of quality 40": jpeg,
    "mirrored": ImageOps.mirror,
    "cropped on all sides": lambda image: cropped(image, 0.05, 0.05, 0.05, 0.05),
    "cropped on the left": lambda image: cropped(image, 0.05, 0, 0, 0),
    "cropped at the bottom": lambda image: cropped(image, 0, 0, 0, 0.05),
    "cropped on two sides": lambda image: cropped(image, 0.05, 0, 0, 0.05),
    "cropped at random": at_random,
    "brighter": brighter,
    "darker": lambda image: brighter(image, 0.7),
    "grey": grey,
    "all together": all_together,
}
HARD = ("cropped at random", "all together")  # one copy of 24 may be missed; the module says how many of real photos


@pytest.fixture(scope="module")
def pictures():
    with ThreadPoolExecutor(2) as pool:
        return [
            Image.fromarray(pixels)
            for pixels in pool.map(lambda which: paint(*which), itertools.product(CLASS_NAMES, range(8)))
        ]


@pytest.fixture(scope="module")
def hashes(pictures):
    return [perceptual_hashes(picture) for picture in pictures]


@pytest.fixture(scope="module")
def copies(pictures):
    """Return the hashes of copies of each kind, in the order of the pictures."""
    return {kind: [perceptual_hashes(copied(picture)) for picture in pictures] for kind, copied in COPIES.items()}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_of_a_kind_fall_in_the_groups_of_their_pictures(kind, hashes, copies):
    first = find_groups(np.stack(hashes + copies[kind]))
    originals = np.arange(len(hashes))
    assert np.array_equal(first[: len(hashes)], originals)
    assert np.sum(first[len(hashes) :] != originals) <= (kind in HARD)


def test_all_copies_at_once_fall_in_the_groups_of_their_pictures(hashes, copies):
    first = find_groups(np.stack([*hashes, *itertools.chain(*copies.values())]))
    originals = np.arange(len(hashes))
    assert np.array_equal(first[: len(hashes)], originals)
    assert np.mean(first == np.tile(originals, 1 + len(copies))) >= 0.99


def together(first):
    """Return the groups of more than one as a set, whatever their photos' order."""
    return {tuple(np.flatnonzero(first == number)) for number in set(first) if np.sum(first == number) > 1}


def test_the_order_of_the_photos_does_not_matter(hashes, copies):
    given = np.stack([*hashes, *copies["brighter"], *copies["mirrored"]])
    expected = together(find_groups(given))
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(given))
        assert {tuple(sorted(order[list(group)])) for group in together(find_groups(given[order]))} == expected


def test_a_group_is_named_by_its_first_photo(hashes, copies):
    given = np.stack([*copies["brighter"], *hashes])[::-1]
    assert np.array_equal(find_groups(given), np.tile(np.arange(24), 2))


def of_all_pairs(hashes):
    """Do what `find_groups` does by comparing all pairs."""
    count = len(hashes)
    bits = np.unpackbits(hashes, axis=-1).reshape(count, HASHES, 16, 16).astype(np.float32)

    def differences(places):
        queries = bits[:, :2][..., places].reshape(2 * count, -1)
        crops = bits[:, 2:][..., places].reshape((HASHES - 2) * count, -1)
        return queries @ (1 - crops).T + (1 - queries) @ crops.T

    low = np.zeros((16, 16), bool)
    low[tuple(zip(*LOW, strict=True))] = True
    near = (differences(np.ones((16, 16), bool)) <= 44) & (differences(low) <= 5)
    near = near.reshape(count, 2, count, HASHES - 2).any((1, 3))
    near |= near.T | (hashes[:, None] == hashes).all((2, 3))
    first = np.arange(count)
    for _ in range(count):  # the smallest number wanders along a chain, one photo a step
        first = np.array([first[near[i]].min() for i in range(count)], int)
    return first


def unlike(rng, count):
    return rng.integers(0, 256, (count, HASHES, 32), dtype=np.uint8)


def flipped(hash_, places):
    bits = np.unpackbits(hash_).reshape(16, 16)
    for place in places:
        bits[place] ^= 1
    return np.packbits(bits)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_it_finds_what_comparing_all_pairs_finds(seed):
    rng, draw = np.random.default_rng(seed), random.Random(seed)
    given = unlike(rng, draw.randint(1, 40))
    for _ in range(draw.randint(0, 60)):
        one, two = draw.randrange(len(given)), draw.randrange(len(given))
        low, high = draw.sample(LOW, draw.randint(3, 7)), draw.sample(HIGH, draw.randint(36, 42))
        given[one, draw.randrange(2)] = flipped(given[two, draw.randrange(2, HASHES)], low + high)
        if draw.random() < 0.1:
            given[one] = given[two]
    assert np.array_equal(find_groups(given), of_all_pairs(given))


@pytest.mark.parametrize(("low", "all_bits", "expected"), [(0, 44, 0), (5, 44, 0), (6, 44, 1), (0, 45, 1), (5, 45, 1)])
def test_a_copy_differs_in_44_bits_and_5_of_the_lowest_at_most(low, all_bits, expected):
    for seed in range(30):
        given, draw = unlike(np.random.default_rng(seed), 2), random.Random(seed)
        places = draw.sample(LOW, low) + draw.sample(HIGH, all_bits - low)
        given[1, draw.randrange(2)] = flipped(given[0, draw.randrange(2, HASHES)], places)
        assert find_groups(given)[1] == find_groups(given[::-1])[1] == expected


@pytest.mark.parametrize("in_first_half", range(6))
def test_the_five_bits_may_lie_anywhere(in_first_half):
    for seed in range(10):
        given, draw = unlike(np.random.default_rng(seed), 2), random.Random(seed)
        places = draw.sample(LOW[:24], in_first_half) + draw.sample(LOW[24:], 5 - in_first_half)
        given[0, 0] = flipped(given[1, 2], places)
        assert find_groups(given)[1] == 0


def test_copies_of_copies_are_one_group():
    draw = random.Random(0)
    given = unlike(np.random.default_rng(0), 30)
    for i in range(1, 20):  # a chain, each photo a copy of the one before it and unlike the others
        given[i, 0] = flipped(given[i - 1, 2], draw.sample(HIGH, 40))
    order = np.array(draw.sample(range(30), 30))
    chain = np.flatnonzero(order < 20)
    assert together(find_groups(given[order])) == {tuple(chain)}
    cut = np.delete(given, 10, axis=0)
    assert together(find_groups(cut)) == {tuple(range(10)), tuple(range(10, 19))}


def test_no_photos_and_one_photo(hashes):
    assert find_groups(np.zeros((0, HASHES, 32), np.uint8)).shape == (0,)
    assert find_groups(np.stack(hashes[:1])).tolist() == [0]


def test_hashes_are_those_of_the_picture_its_mirror_image_and_its_crops(pictures, hashes):
    import imagehash

    hashed = hashes[0]
    assert hashed.shape == (27, 32) and hashed.dtype == np.uint8
    for picture, of_picture in ((pictures[0], hashed[0]), (ImageOps.mirror(pictures[0]), hashed[1])):
        expected = np.packbits(imagehash.phash(picture, 16).hash)  # of the large picture, not of one of 96 x 96 px
        assert np.bitwise_count(of_picture ^ expected).sum() <= 8
    assert np.bitwise_count(hashed[2] ^ hashed[0]).sum() <= 8  # the first crop cuts nothing off


@pytest.mark.parametrize("size", [(1, 1), (7, 3000), (64, 64)])
def test_pictures_of_any_size_are_hashed(size):
    assert perceptual_hashes(Image.effect_noise(size, 80).convert("RGB")).shape == (27, 32)


def test_flat_pictures_are_one_group():
    colours = [(level, level, level) for level in range(0, 256, 15)] + [(255, 0, 0), (3, 200, 90)]
    flat = [perceptual_hashes(Image.new("RGB", (80 + 9 * i, 200), colour)) for i, colour in enumerate(colours)]
    assert not find_groups(np.stack(flat)).any()


def work(monkeypatch, hashes):
    """Count how often the search looks up a key, and how many pairs it then compares."""
    queries, compared, matches = 0, 0, groups._matches

    def counted(keys, bands, *rest):
        nonlocal queries, compared
        queries += len(keys)
        for one, two in matches(keys, bands, *rest):
            compared += len(one)
            yield one, two

    with monkeypatch.context() as patched:
        patched.setattr(groups, "_matches", counted)
        find_groups(hashes)
    return queries, compared


def test_work_grows_with_the_photos_not_with_their_pairs(monkeypatch):
    given = unlike(np.random.default_rng(0), 2000)
    few, many = work(monkeypatch, given[:500]), work(monkeypatch, given)
    assert sum(few) > 0 and sum(many) < 4.1 * sum(few)
    assert many[1] < 0.01 * len(given) ** 2 / 2


def test_equal_pictures_are_not_compared_with_one_another(monkeypatch):
    given = unlike(np.random.default_rng(0), 10)[np.arange(3000) % 10]
    assert np.array_equal(find_groups(given), np.arange(3000) % 10)
    assert work(monkeypatch, given) == work(monkeypatch, given[:10])


@pytest.mark.slow
def test_no_two_of_the_real_photos_but_known_ones_share_a_group(real_photos):
    taken = take_in(real_photos)
    assert len(taken.photos) > 500 and len(taken.near_duplicates()) <= 2


@pytest.mark.slow
def test_copies_of_real_photos_fall_in_their_groups(real_photos):
    photos = [photo["path"] for photo in take_in(real_photos).photos]
    chosen = random.Random(0).sample(photos, 60)

    def hashed(path):
        image = read_image(real_photos / path)
        return [perceptual_hashes(image), *(perceptual_hashes(copied(image)) for copied in COPIES.values())]

    with ThreadPoolExecutor(2) as pool:
        given = np.stack(list(pool.map(hashed, chosen)))  # [60, 1 + kinds, 27, 32]
    first = find_groups(np.concatenate(given.swapaxes(0, 1)))
    assert np.array_equal(first[:60], np.arange(60))
    assert np.mean(first[60:] == np.tile(np.arange(60), len(COPIES))) >= 0.99
