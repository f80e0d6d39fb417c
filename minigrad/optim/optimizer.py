"""What all optimisers share: parameter groups, gradients, state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

import numpy as np

from minigrad import dtypes, observe
from minigrad.errors import ArgumentError, ShapeError, StateError
from minigrad.gradient_buffer import GradientBuffer, arrange
from minigrad.optim.options import check_ranges, plain
from minigrad.storage import storage_of
from minigrad.tensor import Tensor

# What a group may hold beside its options: its parameters, and the rate that schedules start from.
_NO_OPTIONS = {"params", "initial_lr"}

_Update = TypeVar("_Update", bound=Callable[..., None])


def fused(name: str) -> Callable[[_Update], _Update]:
    """Decorator of an `_update`: the kernel of this name does the same for all parameters at once.

    Where a device has it: `backend.fused_updates[name](arrays, gradients, states, options)` changes arrays and states
    in place and returns the positions of those that it left alone. The name goes with the method: a subclass that
    defines another has no kernel.
    """

    def mark(update: _Update) -> _Update:
        update.fused = name  # type: ignore[attr-defined]
        return update

    return mark


class Optimizer:
    """Base of the optimisers: holds parameters in groups, each with its own hyperparameters.

    params:   leaf tensors, as `Module.parameters()` gives them; or groups with options of their own, dictionaries
              {"params": tensors, option: value, ...}, such as `param_groups` makes by name.
    defaults: the options of a group that does not say otherwise.

    A subclass defines `_update`, and names what it remembers of each parameter: `state_numbers` and `state_arrays`
    from the first step on, `state_optional` arrays under some options. Parameters stored in half precision are updated
    in float32 and rounded once, and what is remembered of them is float32. `param_groups` may be changed at any time
    (a schedule sets the learning rates); `state` holds what the optimiser remembers.
    """

    state_numbers: tuple[str, ...] = ()
    state_arrays: tuple[str, ...] = ()
    state_optional: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], defaults: dict[str, Any]) -> None:
        self.defaults = {name: plain(value) for name, value in defaults.items()}
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._buffers: list[GradientBuffer] = []
        given = self._listed(params)
        if not given:
            raise ArgumentError(f"{type(self).__name__} was given no parameters")
        for group in given if any(isinstance(g, dict) for g in given) else [{"params": given}]:
            self.add_param_group(group)

    def _listed(self, params: Any) -> list[Any]:
        if isinstance(params, (Tensor, Mapping, set)) or not isinstance(params, Iterable):
            raise ArgumentError(
                f"{type(self).__name__} takes tensors in a fixed order, such as model.parameters(); "
                f"not {type(params).__name__}"
            )
        return list(params)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add parameters with options of their own; what is left out takes the optimiser's default."""
        kind = type(self).__name__
        if not isinstance(group, dict) or "params" not in group:
            raise ArgumentError(f'a group of {kind} is a dictionary with the key "params", not {group!r:.80}')
        single = isinstance(group["params"], Tensor)
        params = [group["params"]] if single else self._listed(group["params"])
        unknown = set(group) - set(self.defaults) - _NO_OPTIONS
        if unknown:
            known = ", ".join(self.defaults)
            raise ArgumentError(f"{kind} has no option {', '.join(sorted(unknown))}; it has {known}")
        if any(not isinstance(p, Tensor) or not p.is_leaf for p in params):
            raise ArgumentError("an optimiser takes leaf tensors: what Module.parameters() gives")
        present = {id(p) for g in self.param_groups for p in g["params"]}
        if len({id(p) for p in params} | present) < len(params) + len(present):
            raise ArgumentError("a parameter stands in an optimiser twice")
        options = {**self.defaults, **{n: plain(value) for n, value in group.items() if n != "params"}}
        self._check(options)
        self.param_groups.append({**options, "params": params})

    def _check(self, options: dict[str, Any]) -> None:
        """Refuse options outside their ranges."""
        check_ranges(options)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero.

        Gradients that are computed after they were forgotten lie side by side in memory (see `flat_gradients`).
        """
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = p.grad.detach().zero_()
        if set_to_none:
            self._buffers = arrange((p for g in self.param_groups for p in g["params"]), self._buffers)

    def flat_gradients(self) -> list[tuple[Any, tuple[Tensor, ...]]] | None:
        """All gradients as a few flat arrays, if they lie side by side.

        Returns a pair (array, parameters) for each device and dtype: the array holds the gradients of these parameters,
        one after the other in this order, without gaps. To write to it is to change the gradients; count the write for
        each (`storage_of(p.grad).version += 1`). Ask anew in each step, and keep no array past `zero_grad`.

        Returns None where a gradient is missing or lies elsewhere: it was computed before the first `zero_grad`,
        assigned by hand, or recorded (create_graph); or what earlier steps left is still held by somebody.
        """
        pairs = [(buffer.flat(), buffer.leaves) for buffer in self._buffers]
        placed = {id(p) for array, leaves in pairs if array is not None for p in leaves}
        params = [p for g in self.param_groups for p in g["params"] if p.grad is not None or p.requires_grad]
        return pairs if params and placed == {id(p) for p in params} else None

    def step(self) -> None:
        """Change every parameter that has a gradient, in place; the graph does not record it."""
        if observe.observers:
            with observe.updating(self):
                self._step()
        else:
            self._step()

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")  # infinities and NaNs are values
    def _step(self) -> None:
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if p.grad is not None and p.grad.shape != p.shape:
                    raise ShapeError(
                        f"a parameter of shape {list(p.shape)} has a gradient of shape {list(p.grad.shape)}"
                    )
            for p in self._update_together(params, group):
                p.detach()._write(partial(self._write_update, p, group))

    def _update_together(self, params: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        """Update in one launch what the device has a kernel for; returns the parameters that are left to `_update`."""
        name, backends = getattr(self._update, "fused", None), {p.backend for p in params}
        if name is None or len(backends) != 1:
            return params
        update = backends.pop().fused_updates.get(name)
        if update is None:
            return params
        states = [self.state.get(p, {}) for p in params]
        gradients = [p.grad.array for p in params if p.grad is not None]
        for p in params:
            if p._storage is not None and p._storage.before_write is not None:
                p._storage.about_to_change()
        left = update([p.array for p in params], gradients, states, group)
        for i in set(range(len(params))).difference(left):
            self.state[params[i]] = states[i]
            storage_of(params[i]).version += 1  # as `_write` does; what it would refuse has been left alone
        return [params[i] for i in left]

    def _write_update(self, p: Tensor, group: dict[str, Any], array: Any) -> None:
        assert p.grad is not None
        dtype = _compute_dtype(p)
        wide, gradient = array.astype(dtype, copy=False), p.grad.array.astype(dtype, copy=False)
        self._update(p.backend.xp, wide, gradient, self.state.setdefault(p, {}), group)
        if wide is not array:
            array[...] = wide

    def _update(
        self, xp: Any, array: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """Change one parameter's raw array in place; `state` is its own dictionary, empty at first."""
        raise NotImplementedError(f"{type(self).__name__} does not define _update()")

    def state_dict(self) -> dict[str, Any]:
        """What is needed to go on, in numbers and NumPy arrays; parameters are numbered in order.

        {"state": {number: {name: array or number}}, "param_groups": [options, with "params": numbers]}
        On the CPU the arrays share memory with the optimiser: save or copy them before the next step.
        """
        numbers = {id(p): i for i, p in enumerate(p for g in self.param_groups for p in g["params"])}
        return {
            "state": {
                numbers[id(p)]: {
                    name: value if name in self.state_numbers else p.backend.to_host(value)
                    for name, value in remembered.items()
                }
                for p, remembered in self.state.items()
            },
            "param_groups": [
                {
                    **{name: plain(value) for name, value in g.items() if name != "params"},
                    "params": [numbers[id(p)] for p in g["params"]],
                }
                for g in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a copy of a state of the same parameters in the same groups; a StateError has changed nothing.

        Keys and numbers may have been through JSON (text for a parameter's number, lists for tuples, arrays of one
        element for numbers). Options come from the state too, learning rates included.
        """
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            raise StateError(
                'the state of an optimiser is a dictionary with the keys "state" and "param_groups"'
            )
        options = self._checked_options(state_dict["param_groups"])
        parameters = [p for g in self.param_groups for p in g["params"]]
        loaded: dict[Tensor, dict[str, Any]] = {}
        for number, state in state_dict["state"].items():
            if not str(number).isdecimal() or int(number) >= len(parameters):
                raise StateError(
                    f"the state knows a parameter {number!r}; the optimiser has {len(parameters)}, numbered from 0"
                )
            p = parameters[int(number)]
            loaded[p] = {n: self._checked_value(number, p, n, value) for n, value in state.items()}
            missing = {*self.state_numbers, *self.state_arrays} - set(state) if state else set()
            if missing:
                raise StateError(f"the state of parameter {number} lacks {', '.join(sorted(missing))}")
        self.state = loaded
        for own, given in zip(self.param_groups, options, strict=True):
            own.update(given)

    def _checked_options(self, groups: Any) -> list[dict[str, Any]]:
        sizes, own_sizes = [len(g["params"]) for g in groups], [len(g["params"]) for g in self.param_groups]
        if sizes != own_sizes:
            raise StateError(f"the state has groups of {sizes} parameters, the optimiser of {own_sizes}")
        options = [{n: plain(value) for n, value in g.items() if n != "params"} for g in groups]
        for given in options:
            unknown = set(given) - set(self.defaults) - _NO_OPTIONS
            if unknown:
                raise StateError(
                    f"the state has an option {', '.join(sorted(unknown))}, which {type(self).__name__} has not: "
                    "it is that of another optimiser"
                )
            try:
                self._check({**self.defaults, **given})
            except ArgumentError as error:
                raise StateError(f"the state has an option out of range: {error}") from error
        return options

    def _checked_value(self, number: Any, p: Tensor, name: str, value: Any) -> Any:
        """One value of a saved state: a Python number, or a copy of an array, of the type that updates compute in."""
        if name in self.state_numbers:
            found = plain(value)
            if isinstance(found, bool) or not isinstance(found, (int, float)):
                raise StateError(f"{name} of parameter {number} must be a number, not {type(value).__name__}")
            return found
        if name not in (*self.state_arrays, *self.state_optional):
            raise StateError(
                f"the state has {name} of parameter {number}, which {type(self).__name__} does not remember: "
                "it is that of another optimiser"
            )
        shape = getattr(value, "shape", None)
        if shape is None or tuple(shape) != p.shape:
            given = type(value).__name__ if shape is None else f"of shape {list(shape)}"
            raise StateError(
                f"{name} of parameter {number} must be an array of shape {list(p.shape)}, not {given}"
            )
        host = value.numpy() if isinstance(value, Tensor) else value
        # In the parameter's own memory layout, as an update would have made it
        kept = p.backend.xp.empty_like(p.array, dtype=_compute_dtype(p))
        kept[...] = p.backend.xp.asarray(host)
        return kept

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v}" for k, v in self.param_groups[0].items() if k != "params")
        return (
            f"{type(self).__name__}({sum(len(g['params']) for g in self.param_groups)} parameters, {options})"
        )


def _compute_dtype(p: Tensor) -> Any:
    return dtypes.float32 if p.dtype in p.backend.storage_only else p.dtype
