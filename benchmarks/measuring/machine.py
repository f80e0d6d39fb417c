"""The machine that the numbers are of."""

from __future__ import annotations

import os
import platform
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.machine import processor, usable_cores


def chosen_cores(threads: int | None) -> list[int]:
    """The cores to run on, as many as there shall be threads; all that this process may use by default.

    Raises ArgumentError if there are fewer.
    """
    cores = (
        sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(usable_cores()))
    )
    if threads is not None and threads > len(cores):
        raise ArgumentError(f"--threads {threads}: this process may use {len(cores)} cores")
    return cores[:threads]


def describe_machine(threads: int) -> dict[str, Any]:
    """Processor, cores, memory, operating system, threads used, and how busy the machine was."""
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "threads": threads,
        "memory_gb": memory_gb(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": load(),
    }


def memory_gb() -> float | None:
    """Main memory, in GB; None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None


def load() -> float | None:
    """Mean number of processes that wanted to run in the last minute; None where the system does not tell."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None
