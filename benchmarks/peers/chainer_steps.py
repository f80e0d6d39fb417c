"""The same step in Chainer 7, which others learnt define-by-run from; unmaintained, it needs an old NumPy."""

from __future__ import annotations

import os
from typing import Any, Callable  # noqa: UP035

import chainer
import chainer.functions as F
import numpy as np

EPS = 1e-5


def threads() -> int:
    """How many threads NumPy's BLAS was told to use."""
    return int(os.environ.get("OPENBLAS_NUM_THREADS") or os.cpu_count() or 1)


class Network(chainer.Link):
    """The parameters of a plan, and the buffers of its batch norms."""

    def __init__(self, weights: dict) -> None:
        super().__init__()
        self.buffers = {k: w for k, w in weights.items() if "running_" in k}
        self.of = {}
        with self.init_scope():
            for name, w in weights.items():
                if name not in self.buffers and "num_batches" not in name:
                    self.of[name] = chainer.Parameter(w)
                    setattr(self, name.replace(".", "_"), self.of[name])

    def apply(self, plan: list, x: Any) -> Any:
        """The network of a plan on x (N, C, H, W)."""
        for kind, *rest in plan:
            if kind == "conv":
                x = F.convolution_2d(x, self.of[rest[0] + ".weight"], stride=rest[1], pad=rest[2])
            elif kind == "batch_norm":
                x = self.batch_norm(x, rest[0] + ".")
            elif kind == "relu":
                x = F.relu(x)
            elif kind == "max_pool":
                x = F.max_pooling_2d(x, rest[0], cover_all=False)
            elif kind == "residual":
                branch, shortcut = (self.apply(part, x) for part in rest)
                x = branch + shortcut
            elif kind == "mean":
                x = F.mean(x, axis=(2, 3))
            elif kind == "flatten":
                x = F.reshape(x, (len(x), -1))
            else:
                x = F.linear(x, self.of[rest[0] + ".weight"], self.of[rest[0] + ".bias"])
        return x

    def batch_norm(self, x: Any, prefix: str) -> Any:
        """With the batch's statistics, which move the running ones, or with those."""
        weight, bias = self.of[prefix + "weight"], self.of[prefix + "bias"]
        mean, var = self.buffers[prefix + "running_mean"], self.buffers[prefix + "running_var"]
        if not chainer.config.train:
            return F.fixed_batch_normalization(x, weight, bias, mean, var, eps=EPS)
        return F.batch_normalization(x, weight, bias, eps=EPS, running_mean=mean, running_var=var, decay=0.9)


def make_step(job: dict, weights: dict, inputs: np.ndarray, labels: np.ndarray) -> Callable[[], Any]:
    """A training step, which returns the loss, or an inference, which returns logits."""
    network, targets = Network(weights), labels.astype(np.int32)
    optimizer = chainer.optimizers.MomentumSGD(lr=job["lr"], momentum=job["momentum"]).setup(network)
    chainer.config.train = job["training"]

    def train() -> float:
        network.cleargrads()
        loss = F.softmax_cross_entropy(network.apply(job["plan"], inputs), targets)
        loss.backward()
        optimizer.update()
        return float(loss.array)

    def infer() -> np.ndarray:
        with chainer.no_backprop_mode():
            return network.apply(job["plan"], inputs).array

    return train if job["training"] else infer
