"""What a result was made on: processor, cores, system, versions of packages."""

import contextlib
import importlib.metadata
import os
import platform
from pathlib import Path


def versions_of(*packages: str) -> dict[str, str]:
    """Give the installed versions of packages; those that are not installed are left out."""
    versions = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def machine() -> dict:
    """Describe this machine: system, processor, cores."""
    return {"system": platform.platform(), "processor": processor(), "cores": os.cpu_count()}


def processor() -> str:
    """Name the processor."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def instruction_sets() -> set[str]:
    """Name the instruction sets of an x86 processor as Linux does, such as avx512f; empty where they are not known."""
    return set(_cpuinfo("flags").split())


def _cpuinfo(field: str) -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.partition(":")[0].strip() == field:
                return line.partition(":")[2].strip()
    return ""
