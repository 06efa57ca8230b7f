"""Try to import packages in another process, where a broken one can do no harm."""

import json
import signal
import subprocess
import sys

from bears_tl.errors import reason_of

SECONDS = 300  # for all packages; the first import of TensorFlow may compile its modules
_STATEMENTS = {  # of packages whose module has another name
    "gdown": "import gdown",
    "imagehash": "import imagehash",
    "pillow": "import PIL.Image",
    "pyyaml": "import yaml",
    "scikit-image": "import skimage.transform",
    "scikit-learn": "import sklearn",
    "scipy": "import scipy.optimize, scipy.stats",
    "matplotlib": "import matplotlib.figure",
    "tf-slim": "from bears_tl.inception.slim import import_slim; import_slim()",
    "tensorflow": "from bears_tl.tensorflow import tf; gpus = len(tf.config.list_physical_devices('GPU'))",
}
# Says which package it tries before it does, because an import may end the process.
_PROGRAM = """
import json, sys, warnings
warnings.simplefilter("ignore")
print("began", flush=True)
for name, statement in json.loads(sys.argv[1]):
    print("trying: " + json.dumps(name), flush=True)
    scope = {}
    try:
        exec(statement, scope)
        error = ""
    except BaseException as raised:
        error = f"{type(raised).__name__}: {raised}"
    print("tried: " + json.dumps([name, error, scope.get("gpus")]), flush=True)
"""


def try_all(packages: list[str]) -> tuple[dict[str, str], int | None]:
    """Import packages one after the other.

    Args:
        packages: canonical names; what crashes costs a new process for those after it.

    Returns:
        Package to what went wrong, "" if nothing; and how many GPUs TensorFlow found, None if it could not look.
    """
    errors: dict[str, str] = {}
    gpus, left = None, list(packages)
    while left:
        pairs = [[name, _STATEMENTS.get(name, f"import {name.replace('-', '_')}")] for name in left]
        lines, ended = _run(json.dumps(pairs))
        tried = [json.loads(line[7:]) for line in lines if line.startswith("tried: ")]
        for name, error, found in tried:
            errors[name] = reason_of(error) if error else ""
            gpus = found if name == "tensorflow" else gpus
        left = left[len(tried) :]
        if left:
            errors[left.pop(0)] = ended
    return errors, gpus


def _run(pairs: str) -> tuple[list[str], str]:
    """Run the program; return its lines and how it ended."""
    command = [sys.executable, "-c", _PROGRAM, pairs]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        printed = error.stdout or b""
        printed = printed.decode("utf-8", "replace") if isinstance(printed, bytes) else printed
        return printed.splitlines(), f"importing it took more than {SECONDS} s"
    if done.returncode < 0:
        return done.stdout.splitlines(), f"importing it ends Python with {signal.Signals(-done.returncode).name}"
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return done.stdout.splitlines(), f"importing it ends Python with exit status {done.returncode}: {reason_of(last)}"
