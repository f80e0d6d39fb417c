"""What all optimisers share: parameter groups, gradients, state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from minigrad import dtypes
from minigrad.errors import ArgumentError, ShapeError, StateError
from minigrad.tensor import Tensor


class Optimizer:
    """Base of the optimisers: holds parameters in groups, each with its own hyperparameters.

    params:   leaf tensors, as `Module.parameters()` gives them; or groups with options of their own, dictionaries
              {"params": tensors, option: value, ...}.
    defaults: the options of a group that does not say otherwise.

    A subclass defines `_update`; parameters stored in half precision are updated in float32 and rounded once, and
    what is remembered of them is float32. `param_groups` may be changed at any time (a schedule sets the learning
    rates); `state` holds what the optimiser remembers of each parameter.
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        given = self._listed(params)
        if not given:
            raise ArgumentError(f"{type(self).__name__} was given no parameters")
        for group in given if any(isinstance(g, dict) for g in given) else [{"params": given}]:
            self.add_param_group(group)

    def _listed(self, params: Any) -> list[Any]:
        if isinstance(params, (Tensor, Mapping)) or not isinstance(params, Iterable):
            raise ArgumentError(
                f"{type(self).__name__} takes tensors, such as model.parameters(); not {type(params).__name__}"
            )
        return list(params)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add parameters with options of their own; what is left out takes the optimiser's default."""
        kind = type(self).__name__
        if not isinstance(group, dict) or "params" not in group:
            raise ArgumentError(f'a group of {kind} is a dictionary with the key "params", not {group!r:.80}')
        single = isinstance(group["params"], Tensor)
        params = [group["params"]] if single else self._listed(group["params"])
        unknown = set(group) - set(self.defaults) - {"params"}
        if unknown:
            known = ", ".join(self.defaults)
            raise ArgumentError(f"{kind} has no option {', '.join(sorted(unknown))}; it has {known}")
        if any(not isinstance(p, Tensor) or not p.is_leaf for p in params):
            raise ArgumentError("an optimiser takes leaf tensors: what Module.parameters() gives")
        present = {id(p) for g in self.param_groups for p in g["params"]}
        if len({id(p) for p in params} | present) < len(params) + len(present):
            raise ArgumentError("a parameter stands in an optimiser twice")
        self._check({**self.defaults, **group})
        self.param_groups.append({**self.defaults, **group, "params": params})

    def _check(self, options: dict[str, Any]) -> None:
        """Refuse options outside their ranges."""
        for name in ("lr", "weight_decay", "eps"):
            if not options.get(name, 0) >= 0:
                raise ArgumentError(f"{name} must be >= 0, not {options[name]}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = p.grad.detach().zero_()

    def step(self) -> None:
        """Change every parameter that has a gradient, in place; the graph does not record it."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.grad.shape != p.shape:
                    raise ShapeError(
                        f"a parameter of shape {list(p.shape)} has a gradient of shape {list(p.grad.shape)}"
                    )
                p.detach()._write(partial(self._write_update, p, group))

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
        """What is needed to go on, sharing memory with the optimiser; parameters are numbered in order.

        {"state": {number: {name: array or number}}, "param_groups": [options, with "params": numbers]}
        """
        numbers = {id(p): i for i, p in enumerate(p for g in self.param_groups for p in g["params"])}
        return {
            "state": {numbers[id(p)]: dict(state) for p, state in self.state.items()},
            "param_groups": [
                {**g, "params": [numbers[id(p)] for p in g["params"]]} for g in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a copy of a state of the same parameters in the same groups; a StateError has changed nothing."""
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            raise StateError(
                'the state of an optimiser is a dictionary with the keys "state" and "param_groups"'
            )
        groups = state_dict["param_groups"]
        if [len(g["params"]) for g in groups] != [len(g["params"]) for g in self.param_groups]:
            raise StateError(
                f"the state has groups of {[len(g['params']) for g in groups]} parameters, "
                f"the optimiser of {[len(g['params']) for g in self.param_groups]}"
            )
        parameters = [p for g in self.param_groups for p in g["params"]]
        loaded: dict[Tensor, dict[str, Any]] = {}
        for number, state in state_dict["state"].items():
            p = parameters[int(number)]
            for name, value in state.items():
                if getattr(value, "shape", ()) not in ((), p.shape):
                    raise StateError(
                        f"{name} of parameter {number} has shape {list(value.shape)}, expected {list(p.shape)}"
                    )
            xp, dtype = p.backend.xp, _compute_dtype(p)
            loaded[p] = {n: xp.array(v, dtype=dtype) if hasattr(v, "shape") else v for n, v in state.items()}
        self.state = loaded
        for own, given in zip(self.param_groups, groups, strict=True):
            own.update({k: v for k, v in given.items() if k != "params"})

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v}" for k, v in self.param_groups[0].items() if k != "params")
        return (
            f"{type(self).__name__}({sum(len(g['params']) for g in self.param_groups)} parameters, {options})"
        )


def _compute_dtype(p: Tensor) -> Any:
    return dtypes.float32 if p.dtype in p.backend.storage_only else p.dtype
