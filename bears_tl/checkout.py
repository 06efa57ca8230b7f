"""Which commit of the source a result was made with."""

import functools
import subprocess
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent


@functools.cache
def checkout() -> dict:
    """Return the commit of this checkout, and whether tracked files differ from it; once per process.

    Returns:
        commit and is_dirty; {} if the source is not a checkout of git, or git is missing or refuses.
    """
    # The package may lie in an environment inside somebody else's repository: only a tracked file is in its own.
    tracked, commit = _git("ls-files", "--error-unmatch", "__init__.py"), _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no", ".")
    return {"commit": commit, "is_dirty": bool(changes)} if tracked and commit and changes is not None else {}


def _git(*words: str) -> str | None:
    """Return what git prints; None if it cannot."""
    try:
        done = subprocess.run(
            ["git", "-C", str(_FOLDER), *words], capture_output=True, text=True, errors="replace", timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
