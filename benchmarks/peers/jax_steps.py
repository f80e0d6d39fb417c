"""The same step in JAX: one jitted function for forward, gradient and update, channels last, as XLA likes it."""

from __future__ import annotations

import os
from typing import Any, Callable  # noqa: UP035

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

EPS, MOMENTUM = 1e-5, 0.1


def threads() -> int:
    """How many threads XLA was told to use."""
    return int(os.environ.get("PJRT_NPROC") or os.cpu_count() or 1)


def apply(plan: list, weights: dict, x: Any, training: bool, moved: dict) -> Any:
    """The network of a plan on x (N, H, W, C); new running statistics go into `moved`."""
    for kind, *rest in plan:
        if kind == "conv":
            name, stride, padding = rest
            x = lax.conv_general_dilated(
                x,
                weights[name + ".weight"],
                (stride, stride),
                [(padding, padding)] * 2,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
        elif kind == "batch_norm":
            x = batch_norm(x, weights, rest[0] + ".", training, moved)
        elif kind == "relu":
            x = jax.nn.relu(x)
        elif kind == "max_pool":
            window = (1, rest[0], rest[0], 1)
            x = lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
        elif kind == "residual":
            branch, shortcut = (apply(part, weights, x, training, moved) for part in rest)
            x = branch + shortcut
        elif kind == "mean":
            x = x.mean((1, 2))
        elif kind == "flatten":
            x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        else:
            x = x @ weights[rest[0] + ".weight"] + weights[rest[0] + ".bias"]
    return x


def batch_norm(x: Any, weights: dict, prefix: str, training: bool, moved: dict) -> Any:
    """(x - mean) / sqrt(var + eps) weight + bias, with the batch's statistics or the running ones."""
    if training:
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        count = x.size // x.shape[-1]
        for name, value in (("running_mean", mean), ("running_var", var * (count / (count - 1)))):
            moved[prefix + name] = (1 - MOMENTUM) * weights[prefix + name] + MOMENTUM * value
    else:
        mean, var = weights[prefix + "running_mean"], weights[prefix + "running_var"]
    return (x - mean) * (lax.rsqrt(var + EPS) * weights[prefix + "weight"]) + weights[prefix + "bias"]


def make_step(job: dict, weights: dict, inputs: np.ndarray, labels: np.ndarray) -> Callable[[], Any]:
    """A training step, which returns the loss, or an inference, which returns logits."""
    plan, rate, momentum = job["plan"], job["lr"], job["momentum"]
    turned = {4: (2, 3, 1, 0), 2: (1, 0)}  # OIHW to HWIO, (out, in) to (in, out)
    arrays = {
        k: jnp.array(w.transpose(turned[w.ndim]) if w.ndim in turned else w) for k, w in weights.items()
    }
    buffers = {k: arrays.pop(k) for k in list(arrays) if "running_" in k or "num_batches" in k}
    x, targets = jnp.array(inputs.transpose(0, 2, 3, 1)), jnp.array(labels)

    def loss_of(parameters: dict, buffers: dict) -> Any:
        moved: dict = {}
        logits = apply(plan, {**parameters, **buffers}, x, True, moved)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, None], 1)
        return -chosen.mean(), {**buffers, **moved}

    @jax.jit
    def update(parameters: dict, velocity: dict, buffers: dict) -> Any:
        (loss, buffers), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters, buffers)
        velocity = jax.tree.map(lambda v, g: momentum * v + g, velocity, gradients)
        return loss, jax.tree.map(lambda p, v: p - rate * v, parameters, velocity), velocity, buffers

    @jax.jit
    def logits_of(weights: dict, x: Any) -> Any:
        return apply(plan, weights, x, False, {})

    state = [arrays, jax.tree.map(jnp.zeros_like, arrays), buffers]
    everything = {**arrays, **buffers}

    def train() -> float:
        loss, *state[:] = jax.block_until_ready(update(*state))
        return float(loss)

    return train if job["training"] else lambda: np.asarray(logits_of(everything, x))
