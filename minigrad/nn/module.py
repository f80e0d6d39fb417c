"""Module: a node in a named tree of parameters, buffers and other modules."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from minigrad import dtypes, engine
from minigrad.errors import ArgumentError, DtypeError, StateError
from minigrad.nn.tree import Tree, join
from minigrad.tensor import Tensor


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` returns: names that the state lacked, and names that the module does not have."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module(Tree):
    """Base of all layers and models. A subclass sets its parts as attributes and defines `forward`.

    The tree is read off the attributes: a Parameter is a parameter, a Module a child, and a tensor given to
    `register_buffer` a buffer. Names are the dotted paths of attributes (`layer1.0.conv1.weight`), as in PyTorch.
    Modules in a plain list or dictionary are not seen: use `ModuleList`, `ModuleDict` or `Sequential`. A subclass need
    not call `super().__init__()`.

    training: whether it is in training mode, see `train`.

    >>> import minigrad as mg
    >>> class Affine(mg.nn.Module):
    ...     def __init__(self):
    ...         self.scale = mg.nn.Parameter(mg.ones(3))
    ...
    ...     def forward(self, x):
    ...         return x * self.scale
    >>> [name for name, _ in Affine().named_parameters()]
    ['scale']
    """

    training: bool = True
    _optional_state: tuple[str, ...] = ()  # names that a state_dict may lack

    # ------------------------------------------------ state

    def state_dict(self) -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by name, detached; they share memory with the module.

        What is shared between modules stands under each of its names.
        """
        state: OrderedDict[str, Tensor] = OrderedDict()
        for path, module in self._paths():
            buffers = [(n, v) for n, v in module._own_buffers() if n not in module._transient_names]
            for name, value in module._own_parameters() + buffers:
                state[join(path, name)] = value.detach()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy values into the parameters and buffers of these names; nothing is copied unless everything fits.

        state_dict: tensors or NumPy arrays by name, as `state_dict()` and `mg.load` give them; cast to the module's
                    dtypes.
        strict:     whether every name must be there and no other; shapes must agree in any case. A batch norm's
                    num_batches_tracked may be missing even so, as it is in some files; it keeps its value then.

        Returns the names that were missing and those that were not expected. Raises StateError naming what does not
        fit.
        """
        if not isinstance(state_dict, Mapping):
            raise StateError(
                f"load_state_dict takes tensors by name, not {type(state_dict).__name__}; "
                "read a file with mg.load(path)"
            )
        own = self.state_dict()
        given = {name: v if isinstance(v, Tensor) else Tensor(v) for name, v in state_dict.items()}
        optional = {join(path, name) for path, module in self._paths() for name in module._optional_state}
        missing = [name for name in own if name not in given and name not in optional]
        unexpected = [name for name in given if name not in own]
        wrong = [
            f"{name} has shape {list(given[name].shape)}, expected {list(own[name].shape)}"
            for name in own
            if name in given and given[name].shape != own[name].shape
        ]
        if strict:
            wrong += [f"{name} is missing" for name in missing]
            wrong += [f"{name} is not expected" for name in unexpected]
        if wrong:
            raise StateError(f"the state does not fit {type(self).__name__}: " + "; ".join(wrong))
        for name, target in own.items():
            if name in given:
                target.copy_(given[name].detach())
        return IncompatibleKeys(missing, unexpected)

    # ------------------------------------------------ modes, placement, gradients

    def train(self, mode: bool = True) -> Module:
        """Set training mode (batch norm uses batch statistics, dropout drops) here and below; returns the module."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Module:
        """Set evaluation mode here and below; returns the module."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Freeze (False) or unfreeze every parameter; returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def freeze(self, *patterns: str) -> Module:
        """Learn the parameters of these names no longer; returns the module.

        patterns: in shell notation (`*` any text, dots included, `?` any character, `[ab]` one of them), matched
                  against the whole dotted name. None for all parameters.

        A frozen batch norm still moves its running averages in training mode: call `eval()` on it, if it shall not.
        Raises ArgumentError for a pattern that matches no parameter.

        >>> import minigrad as mg
        >>> net = mg.nn.Sequential(mg.nn.Linear(2, 3), mg.nn.Linear(3, 1)).freeze("0.*")
        >>> [name for name, p in net.named_parameters() if p.requires_grad]
        ['1.weight', '1.bias']
        """
        return self._set_learnt(False, patterns)

    def unfreeze(self, *patterns: str) -> Module:
        """Learn the parameters of these names again; otherwise as `freeze`."""
        return self._set_learnt(True, patterns)

    def _set_learnt(self, learnt: bool, patterns: tuple[str, ...]) -> Module:
        named = dict(self.named_parameters())
        chosen: set[str] = set() if patterns else set(named)
        for pattern in patterns:
            found = {name for name in named if fnmatchcase(name, pattern)}
            if not found:
                raise ArgumentError(
                    f"no parameter matches the pattern {pattern!r}; there are {', '.join(named) or 'none'}"
                )
            chosen |= found
        for name in chosen:
            named[name].requires_grad_(learnt)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = parameter.grad.detach().zero_()

    def to(self, *targets: Any, dtype: Any = None, device: Any = None) -> Module:
        """Move parameters, buffers and gradients to a device, floating-point ones to a dtype; returns the module.

        Called as `Tensor.to`. They stay the same objects, so optimisers keep them. Raises DtypeError for a dtype
        that is not floating point, in which nothing could be learnt.
        """
        with engine.no_grad():
            for tensor in itertools.chain(self.parameters(), self.buffers()):
                moved = tensor.to(*targets, dtype=dtype, device=device)
                if moved.dtype not in dtypes.FLOATING and moved.dtype != tensor.dtype:
                    raise DtypeError(
                        f"a module can be converted to floating-point types only, not to {moved.dtype}"
                    )
                if tensor.dtype not in dtypes.FLOATING:
                    moved = tensor.to(device=moved.backend)  # a counter stays an integer
                tensor.set_(moved)
                if tensor.grad is not None:
                    tensor.grad = tensor.grad.detach().to(dtype=moved.dtype, device=moved.backend)
        return self

    def float(self) -> Module:
        """Floating-point parameters and buffers as float32; returns the module."""
        return self.to(dtype=dtypes.float32)

    def double(self) -> Module:
        """Floating-point parameters and buffers as float64; returns the module."""
        return self.to(dtype=dtypes.float64)

    def half(self) -> Module:
        """Floating-point parameters and buffers as float16; returns the module."""
        return self.to(dtype=dtypes.float16)

    def bfloat16(self) -> Module:
        """Floating-point parameters and buffers as bfloat16; returns the module."""
        return self.to(dtype=dtypes.bfloat16)

    def cpu(self) -> Module:
        """Parameters and buffers on the CPU; returns the module."""
        return self.to(device="cpu")

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call `fn` on every module of the tree, children before their parent; returns the module."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # ------------------------------------------------ text

    def extra_repr(self) -> str:
        """What stands between the parentheses of a layer's repr."""
        return ""

    def __repr__(self) -> str:
        own = self.extra_repr()
        lines = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self._members()]
        if not lines:
            return f"{type(self).__name__}({own})"
        return f"{type(self).__name__}(\n  " + "\n  ".join([own, *lines] if own else lines) + "\n)"
