"""Describe what a result was computed on: processor, cores, system, package versions."""

import contextlib
import importlib.metadata
import os
import platform
from pathlib import Path


def versions_of(*packages: str) -> dict[str, str]:
    """Return the versions of packages; packages that are not installed are left out."""
    versions = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def machine() -> dict:
    """Describe this machine: system, processor, cores."""
    return {"system": platform.platform(), "processor": processor(), "cores": os.cpu_count()}


def processor() -> str:
    """Return the name of the processor."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def cores() -> int:
    """Return how many cores this process may use, fewer than the machine has in some containers and clusters."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def instruction_sets() -> set[str]:
    """Return the instruction sets of an x86 processor by their Linux names, such as avx512f; empty if unknown."""
    return set(_cpuinfo("flags").split())


def accelerations() -> list[str]:
    """Name the instruction sets of this processor that decide how fast a network is, as the system reports them."""
    has = instruction_sets()
    flags = {
        "AVX2": {"avx2"}, "AVX-512": {"avx512f"}, "VNNI": {"avx512_vnni", "avx_vnni"}, "bf16": {"avx512_bf16"},
        "AMX": {"amx_tile"},
    }  # fmt: skip
    return [name for name, any_of in flags.items() if has & any_of]


def may_have_gpu() -> bool:
    """Return whether there are signs of a GPU that TensorFlow could use: the driver's device files, or Metal."""
    devices = ("nvidia[0-9]*", "dxg", "kfd")  # NVIDIA; Windows' GPUs in WSL; AMD
    return any(any(Path("/dev").glob(name)) for name in devices) or bool(versions_of("tensorflow-metal"))


def _cpuinfo(field: str) -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.partition(":")[0].strip() == field:
                return line.partition(":")[2].strip()
    return ""
