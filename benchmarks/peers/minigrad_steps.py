"""minigrad's own step, on the network as `models/` builds it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.nn import functional as F
from peers import workloads


def threads() -> int:
    """How many threads minigrad was told to use."""
    return int(
        os.environ.get("MINIGRAD_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1
    )


def make_step(
    job: dict[str, Any], weights: dict[str, np.ndarray], inputs: np.ndarray, labels: np.ndarray
) -> Callable[[], Any]:
    """A training step, which returns the loss, or an inference, which returns logits."""
    model = workloads.make(job["workload"], job["tiny"])
    model.load_state_dict(weights)
    x, targets = mg.tensor(inputs), mg.tensor(labels)
    optimizer = mg.optim.SGD(model.parameters(), lr=job["lr"], momentum=job["momentum"])

    def train() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    def infer() -> np.ndarray:
        with mg.no_grad():
            return model(x).numpy()

    model.train(job["training"])
    return train if job["training"] else infer
