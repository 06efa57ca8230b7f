"""README and docs/ are true to what is there: generated tables follow their sources, and every link leads somewhere."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = [*PAGES, *sorted((ROOT / "notebooks").glob("*.py"))]


def write_docs(root, *words):
    script = [sys.executable, root / "scripts/write_docs.py", *words]
    done = subprocess.run(script, capture_output=True, text=True, cwd="/")
    return done.returncode, done.stdout, done.stderr


def test_the_tables_in_the_pages_are_those_of_results():
    assert write_docs(ROOT, "--check") == (0, "", "")


def test_a_changed_source_is_noticed_and_written(tmp_path):
    for folder in ("docs", "results", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    ledger, page = tmp_path / "results/claims.yaml", tmp_path / "docs/article.md"
    ledger.write_text(ledger.read_text().replace("1455.7", "1455.8"))
    before = page.read_text()
    status, said, _ = write_docs(tmp_path, "--check")
    assert status == 1 and said.startswith("docs/article.md differs") and page.read_text() == before
    assert write_docs(tmp_path)[0] == 0 and write_docs(tmp_path, "--check") == (0, "", "")
    assert "1455.8" in page.read_text() and len(page.read_text().splitlines()) == len(before.splitlines())
    ledger.write_text("photos: 40")
    status, said, refused = write_docs(tmp_path)
    assert (status, said) == (2, "") and "'photos'" in refused and refused.count("\n") == 1
    ledger.unlink()
    assert write_docs(tmp_path)[0] == 2


def anchors(page):
    """Give the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            name, _, anchor = link.partition("#")
            target = (page.parent / name) if name else page
            assert target.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 110
