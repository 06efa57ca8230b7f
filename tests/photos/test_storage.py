import numpy as np
import pytest

from bears_tl.files import sha256_of
from bears_tl.photos.storage import read_photo
from bears_tl.photos.views import CENTER, View

VIEWS = [CENTER, View(0, 0, 0.2)]


@pytest.fixture
def folder(write_photos, tmp_path):
    return write_photos(tmp_path / "photos 100%", Panda=1)


def test_a_photo_under_an_address_has_the_pixels_of_one_in_a_folder(folder):
    pytest.importorskip("pyarrow")
    photo = {"path": "Panda/0.png", "sha256": sha256_of(folder / "Panda/0.png")}
    for slash in ("", "/"):
        assert np.array_equal(read_photo(folder.as_uri() + slash, photo, VIEWS), read_photo(folder, photo, VIEWS))


def test_a_photo_that_is_gone_or_changed_is_named(folder, refused):
    pytest.importorskip("pyarrow")
    for base in (folder, folder.as_uri()):
        with refused("gone.png", "run the intake again"):
            read_photo(base, {"path": "gone.png", "sha256": ""}, [CENTER])
        with refused("0.png", "was changed"):
            read_photo(base, {"path": "Panda/0.png", "sha256": "0" * 64}, [CENTER])


def test_an_address_of_no_kind_is_refused(refused):
    pytest.importorskip("pyarrow")
    with refused("nonsense://bucket", "s3://bucket/folder"):
        read_photo("nonsense://bucket", {"path": "a.jpg", "sha256": ""}, [CENTER])
