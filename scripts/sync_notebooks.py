"""Write notebooks/NAME.ipynb from notebooks/NAME.py; `--check` only compares them. Edit only the .py files.

The .ipynb files have no outputs, and their cell ids are positions, so the same source always gives the same bytes.
"""

import argparse
import sys
from pathlib import Path

import jupytext
import nbformat

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def to_ipynb(source: Path) -> str:
    """Convert a py:percent file to the text of its .ipynb."""
    notebook = jupytext.read(source, fmt="py:percent")
    cells = []
    for number, cell in enumerate(notebook.cells):
        metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        kept = {"id": f"cell-{number:02d}", "cell_type": cell.cell_type, "source": cell.source, "metadata": metadata}
        cells.append(kept | ({"outputs": [], "execution_count": None} if cell.cell_type == "code" else {}))
    written = nbformat.from_dict({"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5})
    nbformat.validate(written)
    return nbformat.writes(written) + "\n"


def main() -> int:
    """Write or compare all notebooks; exit status 1 if `--check` finds a difference or a .py is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, list the notebooks that differ")
    options = parser.parse_args()
    differing = []
    for source in sorted(NOTEBOOKS.glob("*.py")):
        target, text = source.with_suffix(".ipynb"), to_ipynb(source)
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            differing.append(target.name)
            if not options.check:
                target.write_text(text, encoding="utf-8")
    orphans = [path.name for path in NOTEBOOKS.glob("*.ipynb") if not path.with_suffix(".py").is_file()]
    for name in orphans:
        print(f"{name} has no matching .py: add the .py or delete the .ipynb", file=sys.stderr)
    for name in differing:
        print(f"{name} {'differs from its .py: run `make notebooks`' if options.check else 'written'}")
    return int(bool(orphans or (options.check and differing)))


if __name__ == "__main__":
    sys.exit(main())
