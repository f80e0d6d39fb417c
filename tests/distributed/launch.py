"""Starting ranks: `tests/distributed/ranks.py` under mpiexec."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]

# For a test file's `pytestmark`
needs_mpi = [
    pytest.mark.mpi,
    pytest.mark.skipif(
        find_spec("mpi4py") is None, reason="mpi4py is not installed; add it with: pip install -e '.[mpi]'"
    ),
]


class Ended(NamedTuple):
    """How a job ended."""

    code: int
    out: str
    error: str
    seconds: float


def run_ranks(
    ranks: int, *command: str, timeout: float = 60, environment: dict[str, str] | None = None
) -> Ended:
    """Run `python COMMAND` on so many ranks of one thread each; a job that hangs fails by TimeoutExpired."""
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else "mpiexec"
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MINIGRAD_NUM_THREADS"), "1")
    began = time.monotonic()
    job = subprocess.Popen(
        [mpiexec, "-n", str(ranks), sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **one, "PYTHONPATH": str(ROOT / "experiments"), **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, error = job.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        job.terminate()  # mpiexec ends its processes
        raise
    return Ended(job.returncode, out, error, time.monotonic() - began)


def check(job: str, *arguments: str, ranks: int = 2, environment: dict[str, str] | None = None) -> str:
    """Run a job of `ranks.py`, which asserts what is to hold on every rank; returns what it printed."""
    ended = run_ranks(ranks, "-m", "tests.distributed.ranks", job, *arguments, environment=environment)
    assert ended.code == 0, ended.error + ended.out
    return ended.out
