"""Copy photos into a folder with one folder per class."""

from bears_tl.commands.options import path

EXAMPLE = "bears fetch sample --to my_photos"


def add(parser) -> None:
    source = "sample, an archive (path or URL) or a Google Drive id"
    parser.add_argument("source", type=path, metavar="SOURCE", help=source)
    parser.add_argument("--to", type=path, required=True, metavar="FOLDER", help="a new folder")
    parser.add_argument("--sha256", metavar="HEX", help="expected SHA-256 of the archive; any other is refused")


def run(options) -> None:
    from pathlib import Path

    from bears_tl.photos.fetch import fetch_to

    print(fetch_to(options.source, Path(options.to), sha256=options.sha256))
