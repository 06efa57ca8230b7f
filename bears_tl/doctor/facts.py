"""What the doctor looks at: this Python, its packages, the processor, the GPU, folders, photos and weights."""

import contextlib
import csv
import ctypes.util
import dataclasses
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bears_tl import hardware
from bears_tl.doctor import imports
from bears_tl.doctor.requirements import canonical, fits, release, required

_WEIGHTS = ("*.ckpt", "*.tar.gz")


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was found; the defaults are those of a machine on which nothing is wrong. Sizes are in bytes.

    Attributes:
        install: the command that installs packages into this Python.
        errors: package to what went wrong when it was imported, "" if nothing.
        gpus: how many GPUs TensorFlow uses; None if that is not known.
        gpu: name, driver and compute_cap as NVIDIA's driver reports them; {} without one.
        gpu_is_likely: there are device files of a GPU.
        built_for: the compute capabilities that TensorFlow's GPU kernels were compiled for.
        colab: the release of Colab's image; "" elsewhere.
        kernel_started: when the notebook's kernel that runs this began, in seconds since 1970; None without one.
        numpy_installed: when NumPy was installed, likewise.
        photos_gone: runs whose photo folder is missing, with that folder.
        weights_changed: files of checkpoints/ whose size is not the recorded one.
    """

    python: str = "3.12.0"
    install: str = "python -m pip install"
    system: str = "Linux"
    machine: str = "x86_64"
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    required: dict[str, str] = dataclasses.field(default_factory=dict)
    errors: dict[str, str] = dataclasses.field(default_factory=dict)
    processor: str = "a processor"
    instructions: frozenset[str] = frozenset({"avx", "avx2"})
    cores: int = 2
    memory: int = 16 * 10**9
    disk_free: int = 100 * 10**9
    folder: str = "."
    cache: str = "data/cache"
    unwritable: tuple[str, ...] = ()
    is_wsl: bool = False
    gpus: int | None = 0
    gpu: dict[str, str] = dataclasses.field(default_factory=dict)
    gpu_is_likely: bool = False
    has_system_cudnn: bool = False
    built_for: tuple[int, ...] = (90,)
    colab: str = ""
    kernel_started: float | None = None
    numpy_installed: float = 0.0
    photos_gone: tuple[tuple[str, str], ...] = ()
    runs: int = 0
    weights: tuple[str, ...] = ("checkpoints/inception_v3.ckpt",)
    weights_changed: tuple[str, ...] = ()

    def has(self, package: str, bounds: str = "") -> bool:
        """Return whether a package is installed, in a version that fits."""
        return package in self.versions and fits(self.versions[package], bounds)

    @property
    def tensorflow(self) -> str:
        """Return the minor version of TensorFlow, such as 2.21; "" if it is missing."""
        return ".".join(map(str, release(self.versions.get("tensorflow", ""))[:2]))


def gather() -> Facts:
    """Look at this machine; importing the packages takes ten seconds or more."""
    versions, needed = _versions(), required()
    cache = Path(os.environ.get("BEARS_TL_CACHE") or "data/cache").expanduser()
    folders = ("runs", "data", "checkpoints", str(cache), tempfile.gettempdir())
    errors, gpus = imports.try_all([name for name in _to_try(needed) if name in versions])
    gone, runs = _photos_gone(Path("runs"))
    weights, changed = _weights(Path("checkpoints"))
    return Facts(
        python=platform.python_version(), install=_install(), system=platform.system(), machine=platform.machine(),
        versions=versions, required=needed, errors=errors, gpus=gpus,
        processor=hardware.processor(), instructions=frozenset(hardware.instruction_sets()), cores=hardware.cores(),
        memory=_memory(), disk_free=shutil.disk_usage(_existing(cache)).free, folder=os.getcwd(),
        cache=str(cache.resolve()), unwritable=tuple(name for name in folders if not _is_writable(Path(name))),
        is_wsl="microsoft" in platform.release().lower(), gpu=_gpu(), gpu_is_likely=hardware.may_have_gpu(),
        has_system_cudnn=bool(ctypes.util.find_library("cudnn")), built_for=_built_for(),
        colab=os.environ.get("COLAB_RELEASE_TAG", ""), kernel_started=_kernel_started(),
        numpy_installed=_installed_at("numpy"), photos_gone=gone, runs=runs, weights=weights, weights_changed=changed,
    )  # fmt: skip


def _to_try(needed: dict[str, str]) -> list[str]:
    """List what to import: TensorFlow last but for what imports it, so that a crash there hides nothing else."""
    late = ("tensorflow", "tf-keras", "tf-slim", "tf2onnx")
    extra = ("onnx", "onnxruntime", "nncf")
    return [*(name for name in (*needed, *extra) if name not in late), *late]


def _versions() -> dict[str, str]:
    found = {}
    for distribution in importlib.metadata.distributions():
        with contextlib.suppress(Exception):  # a half removed package has no name or no version
            found.setdefault(canonical(distribution.metadata["Name"]), distribution.version)
    return found


def _install() -> str:
    if "COLAB_RELEASE_TAG" in os.environ:
        return "%pip install -q"
    python = sys.executable
    with contextlib.suppress(ValueError):  # shorter, and it can be typed
        if Path(python).is_relative_to(Path.cwd()):
            python = str(Path(python).relative_to(Path.cwd()))
    python = shlex.quote(python)
    if importlib.util.find_spec("pip"):
        return f"{python} -m pip install"
    return (
        f"uv pip install --python {python}"
        if shutil.which("uv")
        else f"{python} -m ensurepip && {python} -m pip install"
    )


def _memory() -> int:
    """Return the bytes of memory that this process may use: of the machine, or of its container."""
    found = [1 << 62]
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # "max"
            found.append(int(Path(path).read_text(encoding="utf-8")))
    return min(found)


def _existing(path: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(folder for folder in (path.resolve(), *path.resolve().parents) if folder.exists())


def _is_writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return True
    except OSError:
        return False


def _gpu() -> dict[str, str]:
    """Ask NVIDIA's driver for the first GPU."""
    names = ("name", "driver_version", "compute_cap")
    command = ["nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader"]
    with contextlib.suppress(OSError, subprocess.SubprocessError, StopIteration):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return dict(zip(names, (field.strip() for field in next(csv.reader(io.StringIO(done.stdout)))), strict=True))
    return {}


def _built_for() -> tuple[int, ...]:
    """Read the compute capabilities of TensorFlow's kernels, such as 90 for 9.0, without importing it."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, OSError):
        path = importlib.metadata.distribution("tensorflow").locate_file("tensorflow/python/platform/build_info.py")
        found = re.findall(r"'(?:sm|compute)_(\d+)'", Path(path).read_text(encoding="utf-8"))
        return tuple(map(int, found))
    return ()


def _kernel_started() -> float | None:
    """Return when the notebook's kernel above this process started (Linux)."""
    process = os.getpid()
    with contextlib.suppress(OSError, ValueError, IndexError):
        while process > 1:
            if b"ipykernel" in Path(f"/proc/{process}/cmdline").read_bytes():
                return Path(f"/proc/{process}").stat().st_ctime
            process = int(Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return None


def _installed_at(package: str) -> float:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, OSError):
        return Path(importlib.metadata.distribution(package).locate_file(package)).stat().st_mtime
    return 0.0


def _photos_gone(runs: Path) -> tuple[tuple[tuple[str, str], ...], int]:
    """Return the runs whose photo folder is missing, and how many runs there are."""
    gone, count = [], 0
    for receipt in sorted(runs.glob("*/receipt.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # unfinished or damaged: see `bears runs`
            folder = json.loads(receipt.read_text(encoding="utf-8"))["stages"]["fetch"]["facts"]["folder"]
            count += 1
            if not Path(folder).is_dir():
                gone.append((str(receipt.parent), folder))
    return tuple(gone), count


def _weights(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the weights in a folder that are not stand-ins, and those whose size is not the recorded one."""
    found = [path for pattern in _WEIGHTS for path in sorted(folder.glob(pattern)) if "stand_in" not in path.name]
    changed = []
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
        for name, entry in json.loads((folder / "lock.json").read_text(encoding="utf-8")).items():
            path = folder / name
            if path.is_file() and entry["bytes"] and path.stat().st_size != entry["bytes"]:
                changed.append(str(path))
    return tuple(map(str, found)), tuple(changed)
