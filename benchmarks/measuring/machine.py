"""The machine that the numbers are of."""

from __future__ import annotations

import os
import platform
import time
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
        "cores_used_by_others": warned(used_by_others()),
    }


def memory_gb() -> float | None:
    """Main memory, in GB; None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None


def used_by_others(seconds: float = 0.5) -> float | None:
    """How many cores other processes keep busy while this one sleeps so long; None where the system does not tell."""

    def busy() -> float:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _, _, *interrupts = map(int, file.readline().split()[1:9])
        return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")

    try:
        before, began = busy(), time.perf_counter()
        time.sleep(seconds)
        return round((busy() - before) / (time.perf_counter() - began), 2)
    except (OSError, ValueError):
        return None


def warned(others: float | None) -> float | None:
    """The same, after a word if it is so much that no comparison is fair: libraries differ in how they bear it."""
    if others is not None and others > 0.15:
        print(f"WARNING: other processes keep {others} cores busy; wait, or do not trust the ratios")
    return others


def after(machine: dict[str, Any]) -> None:
    """Add to a description how busy the machine is when all is done."""
    machine["load_after"] = load()
    machine["cores_used_by_others_after"] = warned(used_by_others())


def load() -> float | None:
    """Mean number of processes that wanted to run in the last minute; None where the system does not tell."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None
