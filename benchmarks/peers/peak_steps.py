"""What the machine can do at best: a large matrix product, and reading and writing large arrays."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable  # noqa: UP035

import numpy as np

ORDER, ELEMENTS = 2048, 64_000_000  # of the matrices, of each array: larger than most caches
FLOPS = 2.0 * ORDER**3
BYTES = 12.0 * ELEMENTS


def threads() -> int:
    """How many threads NumPy's BLAS was told to use."""
    return int(os.environ.get("OPENBLAS_NUM_THREADS") or os.cpu_count() or 1)


def make_step(job: dict, *_: Any) -> Callable[[], Any]:
    """By job["case"]: "flops", a float32 matrix product; "bandwidth", c = a + b, shared out among threads.

    The sum reads two arrays and writes one, as "add" of STREAM (McCalpin 1995).
    """
    if job.get("case") == "flops":
        a, b = (np.random.default_rng(0).standard_normal((ORDER, ORDER), dtype=np.float32) for _ in range(2))
        product = np.empty_like(a)
        return lambda: np.matmul(a, b, out=product)
    if job.get("case") == "bandwidth":
        arrays = [np.ones(ELEMENTS, np.float32) for _ in range(3)]
        bounds = np.linspace(0, ELEMENTS, job["threads"] + 1).astype(int)
        spans = [slice(bounds[i], bounds[i + 1]) for i in range(job["threads"])]
        parts = [[x[span] for x in arrays] for span in spans]
        pool = ThreadPoolExecutor(job["threads"])
        return lambda: list(pool.map(lambda part: np.add(part[0], part[1], out=part[2]), parts))
    return lambda: None
