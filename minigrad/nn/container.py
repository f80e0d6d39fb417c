"""Modules made of modules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.nn.module import Module


class _Numbered(Module):
    """Children under the names "0", "1", ... in order."""

    def append(self, module: Module) -> _Numbered:
        """Add a module at the end."""
        if not isinstance(module, Module):
            raise ArgumentError(f"{type(self).__name__} holds modules, not {type(module).__name__}")
        setattr(self, str(len(self)), module)
        return self

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int) -> Module:
        return list(self.children())[index]


class Sequential(_Numbered):
    """Modules applied one after the other; given by position or as an OrderedDict of names.

    >>> import minigrad as mg
    >>> net = mg.nn.Sequential(mg.nn.Linear(4, 8), mg.nn.ReLU(), mg.nn.Linear(8, 2))
    >>> net(mg.ones(3, 4)).shape
    (3, 2)
    """

    def __init__(self, *modules: Any) -> None:
        named = modules[0] if len(modules) == 1 and isinstance(modules[0], OrderedDict) else None
        for name, module in named.items() if named is not None else ():
            setattr(self, name, module)
        for module in modules if named is None else ():
            self.append(module)

    def forward(self, x: Any) -> Any:
        for module in self.children():
            x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of modules that the tree knows of; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        for module in modules:
            self.append(module)

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Add several modules at the end."""
        for module in modules:
            self.append(module)
        return self
