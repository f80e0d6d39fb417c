"""The same step in MyGrad, a teaching library on NumPy; SGD is written out, as its users do.

Its batch norm keeps no running statistics: a training step saves that work here, and an inference applies the given
ones as a scale and a shift.
"""

from __future__ import annotations

import os
from typing import Any, Callable  # noqa: UP035

import mygrad
import numpy as np
from mygrad import nnet

EPS = np.float32(1e-5)


def threads() -> int:
    """How many threads NumPy's BLAS was told to use."""
    return int(os.environ.get("OPENBLAS_NUM_THREADS") or os.cpu_count() or 1)


def apply(plan: list, tensors: dict, x: Any, training: bool) -> Any:
    """The network of a plan on x (N, C, H, W)."""
    for kind, *rest in plan:
        if kind == "conv":
            name, stride, padding = rest
            # It refuses windows that do not tile the padded image: the last row and column are left out, as others do
            kernel = tensors[name + ".weight"]
            excess = [(n + 2 * padding - k) % stride for n, k in zip(x.shape[2:], kernel.shape[2:])]
            if any(excess):
                x, padding = _padded(x, padding, excess), 0
            x = nnet.conv_nd(x, kernel, stride=stride, padding=padding)
        elif kind == "batch_norm":
            x = batch_norm(x, tensors, rest[0] + ".", training)
        elif kind == "relu":
            x = nnet.relu(x)
        elif kind == "max_pool":
            x = nnet.max_pool(x, (rest[0], rest[0]), rest[0])
        elif kind == "residual":
            branch, shortcut = (apply(part, tensors, x, training) for part in rest)
            x = branch + shortcut
        elif kind == "mean":
            x = x.mean((2, 3))
        elif kind == "flatten":
            x = x.reshape(len(x), -1)
        else:
            x = x @ tensors[rest[0] + ".weight"].T + tensors[rest[0] + ".bias"]
    return x


def _padded(x: Any, padding: int, excess: list) -> Any:
    """x with zeros around it and without the last rows and columns, which no window reaches."""
    n, c, height, width = x.shape
    if padding == 0:
        return x[:, :, : height - excess[0], : width - excess[1]]
    below, right = (padding - e for e in excess)
    columns = [np.zeros((n, c, height, k), x.dtype) for k in (padding, right)]
    x = mygrad.concatenate([columns[0], x, columns[1]] if right else [columns[0], x], axis=3)
    rows = [np.zeros((n, c, k, x.shape[3]), x.dtype) for k in (padding, below)]
    return mygrad.concatenate([rows[0], x, rows[1]] if below else [rows[0], x], axis=2)


def batch_norm(x: Any, tensors: dict, prefix: str, training: bool) -> Any:
    """MyGrad's batch norm, or a scale and a shift with the running statistics."""
    weight, bias = tensors[prefix + "weight"], tensors[prefix + "bias"]
    if training:
        return nnet.batchnorm(x, gamma=weight, beta=bias, eps=EPS)
    scale = weight / np.sqrt(tensors[prefix + "running_var"] + EPS)
    shift = bias - tensors[prefix + "running_mean"] * scale
    return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)


def make_step(job: dict, weights: dict, inputs: np.ndarray, labels: np.ndarray) -> Callable[[], Any]:
    """A training step, which returns the loss, or an inference, which returns logits."""
    plan = job["plan"]
    parameters = {k: mygrad.tensor(w) for k, w in weights.items() if "running_" not in k and "num_b" not in k}
    velocity = {k: np.zeros_like(p.data) for k, p in parameters.items()}
    rate, momentum = np.float32(job["lr"]), np.float32(job["momentum"])

    def train() -> float:
        loss = nnet.softmax_crossentropy(apply(plan, parameters, inputs, True), labels)
        loss.backward()
        for name, parameter in parameters.items():
            velocity[name] *= momentum
            velocity[name] += parameter.grad
            parameter.data -= rate * velocity[name]
            parameter.null_grad()
        return loss.item()

    def infer() -> np.ndarray:
        with mygrad.no_autodiff:
            return apply(plan, {**weights, **parameters}, inputs, False).data

    return train if job["training"] else infer
