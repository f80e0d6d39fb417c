"""Updates of all parameters of a group in one launch; the arithmetic is that of `minigrad/optim`, to float32 rounding.

    sgd(arrays, gradients, states, options), adam(...) -> positions of what was left alone

arrays:    the parameters' memory, to be changed in place.
gradients: one for each, of its shape.
states:    what the optimiser remembers of each, a dictionary that is empty before the first step.
options:   the group's options.

Left to the plain update is what is not float32 in C order without gaps, or cannot be written to. A model has many small
parameters: kernels get the arrays as numbers, and find the memory themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.backend.native.layout import FLOAT
from minigrad.backend.native.optimizer_loops import STEP, adam_update, momentum_update, sgd_update
from minigrad.backend.native.team import team

_ALONE = 2 * STEP  # numbers: below this, the caller's thread is done before another has started


def sgd(
    arrays: Sequence[Any], gradients: Sequence[Any], states: Sequence[dict], options: Mapping[str, Any]
) -> list[int]:
    """The update of `minigrad.optim.SGD`."""
    momentum, name = options["momentum"], "momentum_buffer"
    taken, left = _sorted(arrays, gradients, states, (name,) if momentum else ())
    common = _common(options), np.float32(options["lr"])
    chosen, own = [arrays[i] for i in taken], [np.ascontiguousarray(gradients[i]) for i in taken]
    if not momentum:
        _run(sgd_update, (chosen, own), *common)
        return left
    first = np.array([name not in states[i] for i in taken], np.bool_)
    for i in taken:
        if name not in states[i]:
            states[i][name] = np.empty_like(arrays[i])
    velocities = [states[i][name] for i in taken]
    numbers = np.float32(momentum), np.float32(1 - options["dampening"]), bool(options["nesterov"])
    _run(momentum_update, (chosen, own, velocities), *common, first, *numbers)
    return left


def adam(
    arrays: Sequence[Any], gradients: Sequence[Any], states: Sequence[dict], options: Mapping[str, Any]
) -> list[int]:
    """The update of `minigrad.optim.Adam`, and so of AdamW."""
    names = ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if options["amsgrad"] else ()))
    taken, left = _sorted(arrays, gradients, states, names)
    beta1, beta2 = options["betas"]
    columns: Any = [[], [], *([] for _ in names)]
    rates = np.empty((2, len(taken)), np.float32)
    for k, i in enumerate(taken):
        state, array = states[i], arrays[i]
        state["step"] = state.get("step", 0) + 1
        for name in names:
            if name not in state:
                state[name] = np.zeros_like(array)
        for column, a in zip(
            columns, (array, np.ascontiguousarray(gradients[i]), *(state[n] for n in names)), strict=True
        ):
            column.append(a)
        correction = math.sqrt(1 - beta2 ** state["step"])
        rates[:, k] = options["lr"] * correction / (1 - beta1 ** state["step"]), options["eps"] * correction
    decoupled, penalty = options["decoupled_weight_decay"], options["weight_decay"]
    shrink = np.float32(1 - options["lr"] * penalty if decoupled else 1)
    shared = _common({**options, "weight_decay": 0 if decoupled else penalty})
    if not options["amsgrad"]:
        columns.append(columns[-1])  # not looked at
    numbers = [np.float32(v) for v in (1 - beta1, beta2, 1 - beta2)]
    _run(adam_update, columns, shared, shrink, rates.reshape(-1), *numbers, bool(options["amsgrad"]))
    return left


def _common(options: Mapping[str, Any]) -> tuple[np.float32, np.float32]:
    """What turns a gradient into that of what is to be minimised: its sign, and the share of the parameter."""
    return np.float32(-1 if options["maximize"] else 1), np.float32(options["weight_decay"])


def _sorted(
    arrays: Sequence[Any], gradients: Sequence[Any], states: Sequence[dict], names: tuple[str, ...]
) -> tuple[list[int], list[int]]:
    """Positions of what can be updated here, and of what cannot."""
    taken: list[int] = []
    left: list[int] = []
    for i, (array, gradient, state) in enumerate(zip(arrays, gradients, states, strict=True)):
        remembered = [state[name] for name in names if name in state]
        fits = (
            _plain(array)
            and array.flags.writeable
            and type(gradient) is np.ndarray
            and gradient.dtype == FLOAT
            and all(_plain(s) and s.shape == array.shape for s in remembered)
        )
        (taken if fits else left).append(i)
    return taken, left


def _plain(a: Any) -> bool:
    return type(a) is np.ndarray and a.dtype == FLOAT and a.flags.c_contiguous


def _run(update: Any, columns: Sequence[Sequence[np.ndarray]], *numbers: Any) -> None:
    """The update of all arrays, corresponding ones in `columns`; the lists hold them in memory meanwhile."""
    sizes = np.array([a.size for a in columns[0]], np.int64)
    if not sizes.size:
        return
    ends = np.cumsum(-(-sizes // STEP))
    objects = np.array([[id(a) for a in column] for column in columns], np.int64)
    arguments = (ends, sizes, objects, *numbers)
    if sizes.sum() < _ALONE:
        update(np.zeros(1, np.int64), int(ends[-1]), *arguments)
    else:
        team.run(update, int(ends[-1]), *arguments)
