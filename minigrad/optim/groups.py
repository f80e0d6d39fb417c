"""Parameter groups by name."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from minigrad.errors import ArgumentError

if TYPE_CHECKING:
    from minigrad.nn import Module


def param_groups(
    module: Module, patterns: Mapping[str, Mapping[str, Any]], **defaults: Any
) -> list[dict[str, Any]]:
    """The parameters of a module in groups for an optimiser, chosen by patterns of their names.

    module:   whose `named_parameters` are shared out.
    patterns: {pattern: options}, in shell notation (`*` any text, dots included, `?` any character, `[ab]` one of
              them), matched against the whole name. The first that matches takes the parameter.
    defaults: options of all groups, where a pattern does not say otherwise.

    Returns a group for each pattern, in order, then one for the parameters that none matches, if there are any.
    Raises ArgumentError for a pattern that takes no parameter: it is misspelt, or one before it has taken them all.

    >>> import minigrad as mg
    >>> layer = mg.nn.Linear(2, 3)
    >>> groups = param_groups(layer, {"*bias": {"weight_decay": 0}}, weight_decay=0.1)
    >>> [(group["weight_decay"], len(group["params"])) for group in groups]
    [(0, 1), (0.1, 1)]
    >>> optimizer = mg.optim.SGD(groups, lr=0.1)
    """
    names = dict(module.named_parameters())
    taken: dict[str, list[str]] = {pattern: [] for pattern in patterns}
    rest: list[str] = []
    for name in names:
        found = next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)
        (rest if found is None else taken[found]).append(name)
    for pattern, own in taken.items():
        if own:
            continue
        matching = [name for name in names if fnmatchcase(name, pattern)]
        if matching:
            raise ArgumentError(
                f"the pattern {pattern!r} is left with no parameter: earlier ones have taken {', '.join(matching)}"
            )
        raise ArgumentError(
            f"no parameter matches the pattern {pattern!r}; there are {', '.join(names) or 'none'}"
        )
    groups = [
        {**defaults, **options, "params": [names[n] for n in taken[pattern]]}
        for pattern, options in patterns.items()
    ]
    return groups + ([{**defaults, "params": [names[n] for n in rest]}] if rest else [])
