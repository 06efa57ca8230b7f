"""Write the table of results/claims.yaml to results/claims.md and into README.md; `--check` only compares them."""

import argparse
import sys
from pathlib import Path

from bears_tl.article.claims import put_table, read_claims, table
from bears_tl.errors import InputError

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Write or compare both files; 1 when `--check` finds one that differs, 2 when the ledger is refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, name the files that differ")
    options = parser.parse_args()
    alone, readme = ROOT / "results/claims.md", ROOT / "README.md"
    before = {path: path.read_text(encoding="utf-8") if path.is_file() else "" for path in (alone, readme)}
    try:
        claims = read_claims(ROOT / "results/claims.yaml")
        after = {alone: table(claims) + "\n", readme: put_table(before[readme], claims)}
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    differing = [path for path in after if after[path] != before[path]]
    for path in differing:
        if not options.check:
            path.write_text(after[path], encoding="utf-8")
        print(f"{path.name} {'differs from results/claims.yaml: run `make claims`' if options.check else 'written'}")
    return int(options.check and bool(differing))


if __name__ == "__main__":
    sys.exit(main())
