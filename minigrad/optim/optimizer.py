"""What all optimisers share: parameter groups, gradients, state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minigrad.errors import ArgumentError, StateError
from minigrad.tensor import Tensor


class Optimizer:
    """Base of the optimisers: holds parameters in groups, each with its own hyperparameters.

    params: tensors, or dictionaries {"params": tensors, option: value, ...} for groups with options of their own.
    A subclass defines `_update(array, gradient, state, group)`, which changes the raw array in place; `state` is the parameter's own dictionary.
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        given: list[Any] = list(params)
        if not given:
            raise ArgumentError(f"{type(self).__name__} was given no parameters")
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add parameters with options of their own; what is left out takes the optimiser's default."""
        params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        unknown = set(group) - set(self.defaults) - {"params"}
        if unknown:
            raise ArgumentError(f"{type(self).__name__} has no option {', '.join(sorted(unknown))}; it has {', '.join(self.defaults)}")
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
                    p.grad.zero_()

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state.setdefault(p, {})
                    p.detach()._write(lambda array, p=p, state=state, group=group: self._update(array, p.grad.array, state, group))

    def _update(self, array: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change one parameter's array in place."""
        raise TypeError(f"{type(self).__name__} does not define _update()")

    def state_dict(self) -> dict[str, Any]:
        """{"state": {parameter number: {name: array or number}}, "param_groups": [options with parameter numbers]}; shares memory."""
        numbers = {id(p): i for i, p in enumerate(p for g in self.param_groups for p in g["params"])}
        return {
            "state": {numbers[id(p)]: dict(state) for p, state in self.state.items()},
            "param_groups": [{**g, "params": [numbers[id(p)] for p in g["params"]]} for g in self.param_groups],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a copy of a state of the same parameters in the same groups."""
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
                    raise StateError(f"{name} of parameter {number} has shape {list(value.shape)}, expected {list(p.shape)}")
            loaded[p] = {n: p.backend.xp.array(v, dtype=p.dtype) if getattr(v, "ndim", 0) else v for n, v in state.items()}
        self.state = loaded
        for own, given in zip(self.param_groups, groups, strict=True):
            own.update({k: v for k, v in given.items() if k != "params"})

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v}" for k, v in self.param_groups[0].items() if k != "params")
        return f"{type(self).__name__}({sum(len(g['params']) for g in self.param_groups)} parameters, {options})"
