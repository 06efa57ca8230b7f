import subprocess

import pytest

from bears_tl import checkout as checkout_
from bears_tl.checkout import checkout


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Give a repository with a tracked package, in place of this one."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git = ["git", "-C", tmp_path, "-c", "user.name=x", "-c", "user.email=x@x"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(checkout_, "_FOLDER", package)
    checkout.cache_clear()
    yield package
    checkout.cache_clear()


def test_the_commit_and_changes_of_tracked_files_are_told(source):
    found = checkout()
    assert len(found["commit"]) == 40 and found["is_dirty"] is False
    (source / "new.py").write_text("")
    checkout.cache_clear()
    assert checkout() == found
    (source / "__init__.py").write_text("1")
    checkout.cache_clear()
    assert checkout() == found | {"is_dirty": True}


def test_a_package_inside_the_repository_of_others_has_no_commit(source, monkeypatch):
    inside = source / "site-packages"
    inside.mkdir()
    (inside / "__init__.py").write_text("")
    monkeypatch.setattr(checkout_, "_FOLDER", inside)
    assert checkout() == {}


def test_without_git_nothing_fails(source, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkout() == {}
