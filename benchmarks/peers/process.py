"""The parent's end of a contestant's process: see `worker` for what is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from minigrad.errors import MinigradError
from peers.contestants import Contestant

FOLDER = Path(__file__).resolve().parent.parent
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("NUMBA_NUM_THREADS", "MINIGRAD_NUM_THREADS", "PJRT_NPROC", "NPROC", "NUM_CPU_THREADS"),
)


class Burst(NamedTuple):
    """What a worker says of steps in a row: means of one step in seconds, the last loss, the highest memory so far."""

    seconds: float
    cpu_seconds: float
    loss: float | None
    peak_mb: float


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that give every library of the comparison the same number of threads."""
    flags = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    flags += f" intra_op_parallelism_threads={threads}"
    return {**dict.fromkeys(THREAD_VARIABLES, str(threads)), "XLA_FLAGS": flags}


class Worker:
    """A process that runs the steps of one contestant. It is stopped while it is not asked, so that others run alone.

    job:         what `worker` is told: workload, plan, arrays' file, optimiser; module and options are added here.
    python:      its interpreter.
    cores:       the cores it may use; as many threads are given to its library.
    environment: variables beside those for threads.

    Raises MinigradError, from any method, if the process fails; the message holds what it said.
    """

    def __init__(
        self,
        contestant: Contestant,
        job: Mapping[str, Any],
        python: str,
        cores: Sequence[int],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = contestant.name
        self._files = tempfile.TemporaryDirectory(prefix="contestant-")
        self._log = open(Path(self._files.name) / "log", "w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        own = {
            "framework": contestant.framework,
            "module": contestant.module,
            "options": dict(contestant.options),
            "cores": list(cores),
            "threads": len(cores),
        }
        file = Path(self._files.name) / "job.json"
        file.write_text(json.dumps({**job, **own}), encoding="utf-8")
        path = [str(FOLDER), str(FOLDER.parent)] if contestant.checkout else [str(FOLDER)]
        variables = {**os.environ, **thread_environment(len(cores)), **(environment or {})}
        variables["PYTHONPATH"] = os.pathsep.join(path)
        self._process = subprocess.Popen(
            [python, "-m", "peers.worker", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=variables,
            cwd=self._files.name,
        )

    def ready(self) -> dict[str, Any]:
        """Wait until the network is built; returns versions and times."""
        return self._answer()["ready"]

    def use(self, case: str) -> None:
        """Turn to another case of the job, where its module has several."""
        self._ask(f"use {case}")

    def step(self, count: int = 1) -> Burst:
        """Run so many steps in a row."""
        return Burst(**self._ask(f"step {count}"))

    def _ask(self, request: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._signal("SIGCONT")
        with suppress(OSError):  # it has ended; its last words follow
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._log.seek(0)
            said = self._log.read().strip().splitlines()
            raise MinigradError(
                f"{self.name}: its process ended with code {code}: {said[-1] if said else 'it said nothing'}"
            )
        # Asleep is not enough: a BLAS library's threads wait for more work at full speed, for a tenth of a second
        self._signal("SIGSTOP")
        answer = json.loads(line)
        if "error" in answer:
            raise MinigradError(f"{self.name}: {answer['error']}")
        return answer

    def _signal(self, name: str) -> None:
        if hasattr(signal, name) and self._process.poll() is None:
            self._process.send_signal(getattr(signal, name))

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                with suppress(OSError):  # an unsent line to a process that has gone
                    pipe.close()
        self._files.cleanup()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
