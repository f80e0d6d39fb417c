"""What a layer, its output and its units are, as operations pass by.

A LAYER is a module without children, or the layers that a composite runs as one operation, under the path of the
first. Its OUTPUT is what the last operation run for it returns: of `conv_bn_act` that is y, after norm, shortcut and
activation. Where the same layers run one by one (the plain path), each is a layer with an output of its own. A UNIT is
a channel of the output: dimension 1, or the last one of (N, F) and of what fully connected layers, embeddings and norms
over features put out, (N, T, F).
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from minigrad import dtypes
from minigrad.errors import ArgumentError
from minigrad.nn.module import Module
from minigrad.scopes import Scope

# Operations whose features are the last dimension, whatever lies before it
_FEATURES_LAST = frozenset(
    (
        "linear",
        "linear_act",
        "embedding",
        "layer_norm",
        "rms_norm",
        "scaled_dot_product_attention",
        "bilinear",
    )
)


def unit_dim(op_name: str, shape: tuple[int, ...]) -> int:
    """The dimension that counts the units of an operation's output.

    >>> unit_dim("conv2d", (8, 16, 5, 5)), unit_dim("linear", (8, 20, 64)), unit_dim("relu", (8, 10))
    (1, 2, 1)
    """
    return len(shape) - 1 if op_name in _FEATURES_LAST or len(shape) < 3 else 1


class Layers:
    """Which paths of a model's tree are layers that are looked at, asked for once for each path.

    patterns: None for the layers with parameters of their own; else shell patterns of paths, "*" for all layers.
    """

    def __init__(self, patterns: tuple[str, ...] | str | None = None) -> None:
        self.patterns = (patterns,) if isinstance(patterns, str) else patterns
        self._known: dict[tuple[Module, tuple[str, ...]], bool] = {}

    def include(self, scope: Scope | None) -> bool:
        """Whether what runs in this scope is a layer that is looked at."""
        if scope is None:
            return False
        key = scope.root, scope.modules
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._include(scope)
        return found

    def _include(self, scope: Scope) -> bool:
        modules = dict(scope.root.named_modules())
        run = [modules.get(path) for path in scope.modules]
        if any(module is None for module in run):
            return False  # in no attribute of the tree: it has no name of its own
        if len(run) == 1 and run[0]._members():  # type: ignore[union-attr]
            return False
        if self.patterns is None:
            return any(module._own_parameters() for module in run)  # type: ignore[union-attr]
        return any(fnmatchcase(scope.modules[0], pattern) for pattern in self.patterns)


def has_units(y: Any) -> bool:
    """Whether an output, a tensor, has units: numbers of a floating-point type, in two dimensions or more."""
    return y.dtype in dtypes.FLOATING and y.ndim >= 2 and y.array.size > 0


# ---------------------------------------------------------------- units of parameters


def parameter_groups(model: Module) -> dict[str, list[tuple[str, Any]]]:
    """Which parameters hold the weights of a layer's units: {layer: [(parameter's dotted name, parameter)]}.

    A layer's weight and bias belong together. Other names ending in weight and bias do too, under the layer's path and
    what comes before that ending ("attention.in_proj"); any other parameter stands alone, under its own name. Every
    parameter is in exactly one group, the members of which have as many units.
    """
    groups: dict[str, list[tuple[str, Any]]] = {}
    for name, parameter in model.named_parameters():
        path, _, own = name.rpartition(".")
        stem = next((own.removesuffix(end) for end in ("weight", "bias") if own.endswith(end)), own)
        stem = stem.rstrip("_")
        group = ".".join(part for part in (path, stem) if part)
        held = groups.get(group)
        if held and len(by_unit(model, name, parameter.array)) != len(by_unit(model, *_shown(held[0]))):
            group = name
        groups.setdefault(group, []).append((name, parameter))
    return groups


def _shown(member: tuple[str, Any]) -> tuple[str, Any]:
    return member[0], member[1].array


def by_unit(model: Module, name: str, values: Any) -> Any:
    """A parameter's values (or gradients) as (units, weights of each): dimension 0 counts units.

    In a transposed convolution, whose weight is (inputs, outputs / groups, ...), the outputs count.
    """
    path, _, own = name.rpartition(".")
    module: Any = model.get_submodule(path)
    if getattr(module, "transposed", False) and own == "weight" and values.ndim > 2:
        groups = module.groups
        values = values.reshape(groups, values.shape[0] // groups, *values.shape[1:]).swapaxes(1, 2)
        return values.reshape(groups * values.shape[1], -1)
    return values.reshape(values.shape[0] if values.ndim else 1, -1)


def check_layers(wanted: Any, there: Any) -> None:
    """Raise ArgumentError for a layer that was not run, naming those that were."""
    unknown = [layer for layer in wanted if layer not in there]
    if unknown:
        known = ", ".join(map(repr, there)) or "none"
        raise ArgumentError(f"no layer {unknown[0]!r} put out units in this forward; there are {known}")
