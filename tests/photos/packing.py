"""Make archives for tests, and list what their unpacking left."""

import bz2
import gzip
import io
import lzma
import tarfile
import warnings
import zipfile

CLASSES = ["Grizzly", "Panda", "Polar"]
PHOTOS = {
    f"bear_photos/{name}/{index} ä%.jpg": f"{name}{index}".encode() * 300 for name in CLASSES for index in range(4)
}
SQUEEZE = {"tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}


def tar_of(entries):
    """Make a tar; an entry is (name, bytes) or a TarInfo."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                tar.addfile(info, io.BytesIO(entry[1]))
    return buffer.getvalue()


def zip_of(entries, compression=zipfile.ZIP_DEFLATED):
    """Make a zip; an entry is (name or ZipInfo, bytes)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a duplicate name
        for name, content in entries:
            file.writestr(name, content)
    return buffer.getvalue()


def packed(kind, entries=None):
    entries = list(PHOTOS.items()) if entries is None else entries
    return zip_of(entries) if kind == "zip" else SQUEEZE[kind](tar_of(entries))


def special(kind, name="Grizzly/x", linkname="/etc/passwd", size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, linkname, size
    return info


def zip_special(mode, name="Grizzly/x"):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def left(folder):
    """Return everything in a folder except the empty lock files."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.endswith(".lock"))
