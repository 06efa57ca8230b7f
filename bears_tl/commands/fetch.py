"""Bring photos to a folder of class folders."""


def add(parser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="sample, an archive (path or URL), or a Google Drive id")
    parser.add_argument("--to", required=True, metavar="FOLDER", help="a folder that is not there yet")
    parser.add_argument("--sha256", metavar="HEX", help="refuse an archive with another SHA-256")


def run(options) -> None:
    from pathlib import Path

    from bears_tl.photos.fetch import fetch_to

    print(fetch_to(options.source, Path(options.to), sha256=options.sha256))
