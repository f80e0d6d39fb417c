"""What a run was made with, as far as the machine can tell."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from minigrad.backend import default_backend
from minigrad.backend.threads import get_num_threads
from minigrad.machine import processor, usable_cores

_PACKAGES = ("minigrad", "numpy", "numba", "cupy", "ml_dtypes", "safetensors")
_SWITCHES = ("MINIGRAD_KERNELS", "MINIGRAD_CONV", "MINIGRAD_COMPOSITES")
_THREADS = (
    "MINIGRAD_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def environment() -> dict[str, Any]:
    """Time, command, versions, hardware, threads, switches and git revision, in JSON's types."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.executable).name, *sys.argv],
        "versions": {"python": platform.python_version(), **_versions()},
        "hardware": {
            "system": platform.platform(),
            "processor": processor(),
            "cores": usable_cores(),
            "device": default_backend().name,
        },
        "threads": {"number of threads": get_num_threads(), **_set(_THREADS)},
        "switches": _set(_SWITCHES),
        "git": git_revision(_script_folder()),
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What may make results differ in their last bits between two environments, in words."""
    found = []
    for part in ("versions", "hardware", "threads", "switches"):
        was, is_ = before.get(part) or {}, now[part]
        found += [
            f"{name} was {was.get(name)}, is {is_.get(name)}"
            for name in sorted({*was, *is_} - {"system"})  # a new kernel does not change a sum
            if was.get(name) != is_.get(name)
        ]
    return found


def _set(names: tuple[str, ...]) -> dict[str, str]:
    """Those of the environment's variables that are set."""
    return {name: os.environ[name] for name in names if name in os.environ}


def git_revision(folder: Path) -> dict[str, Any] | None:
    """The commit checked out in a folder, and whether files were changed since; None where there is none, or no git."""
    try:
        revision = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"revision": revision, "changed": bool(changed)}


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _script_folder() -> Path:
    """Where the running program lies; in a notebook, where it was started."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(script).resolve().parent if script else Path.cwd()


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
