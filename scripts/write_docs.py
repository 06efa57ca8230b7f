"""Put the generated tables into the pages of docs/; `--check` only compares them.

A page names the source of each table between two comments: `<!-- from results/NAME -->` and `<!-- end -->`.
"""

import argparse
import re
import sys
from pathlib import Path

from bears_tl.article.claims import read_claims, table
from bears_tl.bench.speed import overview
from bears_tl.errors import InputError
from bears_tl.files import read_json

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- from (\S+) -->\n).*?(\n<!-- end -->)", re.DOTALL)


def main() -> int:
    """Write or compare the pages; 1 when `--check` finds one that differs, 2 when a source cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, name the pages that differ")
    options = parser.parse_args()
    try:
        pages = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
        filled = {path: BLOCK.sub(lambda block: block[1] + load(block[2]) + block[3], pages[path]) for path in pages}
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    differing = [path for path in pages if pages[path] != filled[path]]
    for path in differing:
        if not options.check:
            path.write_text(filled[path], encoding="utf-8")
        print(f"docs/{path.name} {'differs from results/: run `make docs`' if options.check else 'written'}")
    return int(options.check and bool(differing))


def load(name: str) -> str:
    """Give the table in a file of the repository: claims.yaml as Markdown, a folder of benchmarks as one row each."""
    path = ROOT / name
    if path.is_dir():
        return overview([read_json(file) for file in path.glob("*.json")])
    if path.suffix == ".yaml":
        return table(read_claims(path))
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(f"{name} could not be read ({error}): correct the name in docs/") from None


if __name__ == "__main__":
    sys.exit(main())
