"""A contestant's process: it builds one step of one workload and runs it on demand.

    python -m peers.worker JOB.json        # the job as `process.Worker` writes it

Lines go both ways. The worker begins with one JSON object, {"ready": ...}: versions, seconds of the import and of
building the network. `step N` runs N steps in a row and answers {"seconds": ..., "cpu_seconds": ...} (each the mean of
one step; the processor's time counts all threads) with the loss and the highest memory so far. `use NAME` builds
another step, the job's "case" being NAME, and answers {"ready": {}}. `quit`, or the end of the input, ends it; an error
is answered by {"error": ...} and ends it too.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from typing import Any, Callable, TextIO  # noqa: UP035 (Python 3.8)


def private_stdout() -> TextIO:
    """The pipe to the parent; whatever libraries print goes to standard error from now on."""
    channel = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    return channel


def peak_memory() -> float:
    """The highest resident memory of this process so far, in MB."""
    try:
        # Not getrusage's figure, which a process started by a larger one inherits from it
        with open("/proc/self/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        import resource

        highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return highest / (1024 * 1024 if sys.platform == "darwin" else 1024)


def cross_entropy(logits: Any, labels: Any) -> float:
    """The mean of -log softmax(logits)[label], in NumPy: what an inference reports, outside of the measured time."""
    import numpy as np

    wide = np.asarray(logits, dtype=np.float64)
    wide = wide - wide.max(1, keepdims=True)
    return float((np.log(np.exp(wide).sum(1)) - wide[np.arange(len(labels)), labels]).mean())


class Contestant:
    """What a job describes: its step, and what is known before the first one."""

    def __init__(self, job: dict[str, Any]) -> None:
        began = time.perf_counter()
        framework = importlib.import_module(job["framework"])
        imported = time.perf_counter()
        import numpy as np

        self.job, self.weights, self.inputs, self.labels = job, {}, None, None
        if "arrays" in job:
            with np.load(job["arrays"]) as stored:
                self.weights = {name: stored[name] for name in stored.files}
            self.inputs, self.labels = self.weights.pop("inputs"), self.weights.pop("labels")
        self.steps = importlib.import_module(job["module"])
        self.step = self.make_step()
        self.ready = {
            "import_seconds": imported - began,
            "build_seconds": time.perf_counter() - imported,
            "version": str(getattr(framework, "__version__", None)),
            "numpy": np.__version__,
            "python": sys.version.split()[0],
            "threads": self.steps.threads(),
        }

    def make_step(self) -> Callable[[], Any]:
        """The step of the job as it is now."""
        return self.steps.make_step(self.job, self.weights, self.inputs, self.labels)

    def use(self, name: str) -> dict[str, Any]:
        """Turn to another case."""
        self.job["case"] = name
        self.step = self.make_step()
        return {"ready": {}}

    def burst(self, count: int) -> dict[str, Any]:
        """Run `count` steps; a step returns its loss, or an inference's logits, or anything if there are no labels."""
        step = self.step
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(count):
            result = step()
        seconds = (time.perf_counter() - wall) / count
        cpu_seconds = (time.process_time() - processor) / count
        loss = None
        if self.labels is not None:
            loss = float(result) if getattr(result, "ndim", 0) == 0 else cross_entropy(result, self.labels)
        return {"seconds": seconds, "cpu_seconds": cpu_seconds, "loss": loss, "peak_mb": peak_memory()}


def serve(job: dict[str, Any], requests: TextIO, channel: TextIO) -> int:
    """Answer requests until there are no more; returns the exit code."""

    def answer(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    try:
        contestant = Contestant(job)
        answer({"ready": contestant.ready})
        for line in requests:
            word, _, rest = line.strip().partition(" ")
            if word == "quit":
                return 0
            if word == "use" and rest:
                answer(contestant.use(rest))
            elif word == "step" and (rest or "1").isdigit() and int(rest or 1) > 0:
                answer(contestant.burst(int(rest or 1)))
            else:
                raise ValueError(f"expected 'step', 'step N', 'use NAME' or 'quit', not {line.strip()!r}")
    except Exception as error:  # whatever a library raises: the parent says it and goes on with the others
        traceback.print_exc()
        answer({"error": "{}: {}".format(type(error).__name__, str(error).strip().split("\n")[0][:300])})
        return 1
    return 0


def main() -> int:
    """Read the job named on the command line and serve it."""
    channel = private_stdout()
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    if job.get("cores") and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cores"])
    return serve(job, sys.stdin, channel)


if __name__ == "__main__":
    sys.exit(main())
