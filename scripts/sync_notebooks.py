"""Write notebooks/NAME.ipynb from notebooks/NAME.py; `--check` only compares them. Edit only the .py files.

The .ipynb files have no outputs, and their cell ids are positions, so the same source always gives the same bytes.
The address of the repository in pyproject.toml is written into the first cells, and into badges for GitHub's.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path

import jupytext
import nbformat

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
SETTINGS = tomllib.loads((NOTEBOOKS.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["bears_tl"]
METADATA = {
    "accelerator": "GPU",
    "colab": {"gpuType": "T4", "provenance": [], "runtime_attributes": {"runtime_version": SETTINGS["colab_runtime"]}},
    "kaggle": {"accelerator": "nvidiaTeslaT4", "isGpuEnabled": True, "isInternetEnabled": True},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
BADGES = (  # image, page; both take what follows github.com/
    ("Open in Colab", "https://colab.research.google.com/assets/colab-badge.svg",
     "https://colab.research.google.com/github/{path}"),
    ("Open in Kaggle", "https://kaggle.com/static/images/open-in-kaggle.svg",
     "https://kaggle.com/kernels/welcome?src=https://github.com/{path}"),
)  # fmt: skip


def stamp(text: str, url: str) -> str:
    """Write the repository's address into the first cell of a .py."""
    return re.sub(r'^(    repository_url = ").*(")', lambda found: f"{found[1]}{url}{found[2]}", text, flags=re.M)


def add_badges(markdown: str, name: str, url: str) -> str:
    """Put badges below the title of a notebook, if the repository is on GitHub."""
    if not (place := re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?", url)):
        return markdown
    path = f"{place[1]}/blob/main/notebooks/{name}.ipynb"
    badges = " ".join(f"[![{title}]({image})]({page.format(path=path)})" for title, image, page in BADGES)
    title, _, rest = markdown.partition("\n")
    return f"{title}\n\n{badges}\n{rest}"


def to_ipynb(source: Path) -> str:
    """Convert a py:percent file to the text of its .ipynb."""
    url = SETTINGS["repository_url"]
    notebook = jupytext.reads(stamp(source.read_text(encoding="utf-8"), url), fmt="py:percent")
    notebook.cells[0].source = add_badges(notebook.cells[0].source, source.stem, url)
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
        before = source.read_text(encoding="utf-8")
        stamped = stamp(before, SETTINGS["repository_url"])
        if stamped != before:
            differing.append(source.name)
            if not options.check:
                source.write_text(stamped, encoding="utf-8")
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            differing.append(target.name)
            if not options.check:
                target.write_text(text, encoding="utf-8")
    orphans = [path.name for path in NOTEBOOKS.glob("*.ipynb") if not path.with_suffix(".py").is_file()]
    for name in orphans:
        print(f"{name} has no matching .py: add the .py or delete the .ipynb", file=sys.stderr)
    for name in differing:
        print(f"{name} {'is not current: run `make notebooks`' if options.check else 'written'}")
    return int(bool(orphans or (options.check and differing)))


if __name__ == "__main__":
    sys.exit(main())
