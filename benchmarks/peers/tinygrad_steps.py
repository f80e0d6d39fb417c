"""The same step in tinygrad: one captured graph (TinyJit) for forward, gradient and update."""

from __future__ import annotations

from typing import Any, Callable  # noqa: UP035

import numpy as np
from tinygrad import Tensor, TinyJit, nn
from tinygrad.helpers import Context


def threads() -> int:
    """How many cores tinygrad found; its kernels use as many as it thinks worthwhile."""
    from tinygrad.helpers import NUM_CPU_THREADS

    return int(NUM_CPU_THREADS.value)


def network(plan: list, weights: dict, parameters: list) -> Callable[[Any], Any]:
    """The network of a plan as a function; its trainable tensors are added to `parameters`."""
    layers = [_layer(kind, rest, weights, parameters) for kind, *rest in plan]

    def forward(x: Any) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    return forward


def _layer(kind: str, rest: list, weights: dict, parameters: list) -> Callable[[Any], Any]:
    def trainable(name: str) -> Any:
        parameters.append(Tensor(weights[name]))
        return parameters[-1]

    if kind == "conv":
        name, stride, padding = rest
        kernel = trainable(name + ".weight")
        return lambda x: x.conv2d(kernel, stride=stride, padding=padding)
    if kind == "batch_norm":
        norm = nn.BatchNorm(len(weights[rest[0] + ".weight"]))
        norm.weight, norm.bias = trainable(rest[0] + ".weight"), trainable(rest[0] + ".bias")
        for name in ("running_mean", "running_var"):
            setattr(norm, name, Tensor(weights[rest[0] + "." + name]))
        return norm
    if kind == "linear":
        matrix, bias = trainable(rest[0] + ".weight"), trainable(rest[0] + ".bias")
        return lambda x: x.linear(matrix.transpose(), bias)
    if kind == "residual":
        branch, shortcut = (network(part, weights, parameters) for part in rest)
        return lambda x: branch(x) + shortcut(x)
    plain = {
        "relu": lambda x: x.relu(),
        "max_pool": lambda x: x.max_pool2d((rest[0], rest[0])),
        "mean": lambda x: x.mean((2, 3)),
        "flatten": lambda x: x.flatten(1),
    }
    return plain[kind]


def make_step(job: dict, weights: dict, inputs: np.ndarray, labels: np.ndarray) -> Callable[[], Any]:
    """A training step, which returns the loss, or an inference, which returns logits."""
    parameters: list = []
    forward = network(job["plan"], weights, parameters)
    x, targets = Tensor(inputs).realize(), Tensor(labels.astype(np.int32)).realize()
    optimizer = nn.optim.SGD(parameters, lr=job["lr"], momentum=job["momentum"])

    @TinyJit
    def update(x: Any) -> Any:
        optimizer.zero_grad()
        loss = forward(x).sparse_categorical_crossentropy(targets)
        loss.backward()
        return loss.realize(*optimizer.schedule_step())

    @TinyJit
    def infer(x: Any) -> Any:
        return forward(x).realize()

    def train() -> float:
        with Context(TRAINING=1):
            return update(x).item()

    return train if job["training"] else lambda: infer(x).numpy()
