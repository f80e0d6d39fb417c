"""Lists and dictionaries of parameters that the tree of modules knows of."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from minigrad.engine import describe
from minigrad.errors import ArgumentError
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.nn.tree import free_name
from minigrad.tensor import Tensor


class _ParameterContainer(Module):
    """What both share: members are attributes of the module, plain tensors become parameters."""

    def _set(self, name: str, value: Any) -> None:
        kind = type(self).__name__
        if not isinstance(value, Tensor):
            raise ArgumentError(
                f"{kind} holds parameters or tensors, not {type(value).__name__}: {value!r:.80}"
            )
        if not free_name(self, name, Parameter):
            raise ArgumentError(
                f"a parameter in {kind} cannot be called {name!r}: it is empty, has a dot or means something else"
            )
        setattr(self, name, value if isinstance(value, Parameter) else Parameter(value))

    def __len__(self) -> int:
        return len(self._own_parameters())

    def extra_repr(self) -> str:
        return "\n  ".join(f"({name}): Parameter {describe(p)}" for name, p in self._own_parameters())

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(\n  {self.extra_repr()}\n)" if len(self) else f"{type(self).__name__}()"
        )


class ParameterList(_ParameterContainer):
    """A list of parameters under the names "0", "1", ...; tensors put into it become parameters.

    values: any iterable of parameters or tensors. Raises ArgumentError for anything else.

    >>> import minigrad as mg
    >>> scales = mg.nn.ParameterList(mg.ones(n) for n in (1, 2))
    >>> len(scales), scales[-1].shape, [name for name, _ in scales.named_parameters()]
    (2, (2,), ['0', '1'])
    """

    def __init__(self, values: Iterable[Tensor] = ()) -> None:
        self.extend(values)

    def append(self, value: Tensor) -> ParameterList:
        """Add a parameter at the end; returns the list."""
        self._set(str(len(self)), value)
        return self

    def extend(self, values: Iterable[Tensor]) -> ParameterList:
        """Add several parameters at the end; returns the list."""
        for value in values:
            self.append(value)
        return self

    def __iter__(self) -> Iterator[Parameter]:
        return iter([p for _, p in self._own_parameters()])

    def __getitem__(self, index: int | slice) -> Any:
        """A parameter by its position, or a list of those in a slice."""
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return getattr(self, self._name(index))

    def __setitem__(self, index: int, value: Tensor) -> None:
        self._set(self._name(index), value)

    def _name(self, index: int) -> str:
        if not -len(self) <= index < len(self):
            raise IndexError(f"this ParameterList holds {len(self)} parameters; there is no number {index}")
        return str(index % len(self))


class ParameterDict(_ParameterContainer):
    """A dictionary of parameters; tensors put into it become parameters.

    parameters: a dictionary, or pairs of names and parameters or tensors.

    Names may not hold dots, nor be those of a Module's methods. Raises ArgumentError for such a name or for what is no
    tensor.

    >>> import minigrad as mg
    >>> offsets = mg.nn.ParameterDict({"left": mg.zeros(2), "right": mg.zeros(3)})
    >>> offsets["right"].shape, "left" in offsets
    ((3,), True)
    """

    def __init__(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] = ()) -> None:
        self.update(parameters)

    def update(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> None:
        """Set all parameters of a dictionary, or of pairs of names and parameters."""
        for name, value in dict(parameters).items():
            self[name] = value

    def _as_dict(self) -> dict[str, Parameter]:
        return dict(self._own_parameters())

    def __getitem__(self, name: str) -> Parameter:
        return self._as_dict()[name]

    def __setitem__(self, name: str, value: Tensor) -> None:
        self._set(name, value)

    def __delitem__(self, name: str) -> None:
        self.pop(name)

    def pop(self, name: str) -> Parameter:
        """Take a parameter out, and return it. Raises KeyError if there is none of that name."""
        parameter = self[name]
        delattr(self, name)
        return parameter

    def __iter__(self) -> Iterator[str]:
        return iter(self._as_dict())

    def __contains__(self, name: object) -> bool:
        return name in self._as_dict()

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._as_dict().keys()

    def values(self) -> ValuesView[Parameter]:
        """The parameters."""
        return self._as_dict().values()

    def items(self) -> ItemsView[str, Parameter]:
        """Names and parameters."""
        return self._as_dict().items()
