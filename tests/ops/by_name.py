"""The same function under the same name in minigrad and in PyTorch, called with the same arguments, compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad import ops
from tests.oracle import compare_with_torch


def compare_by_name(
    theirs: Any, name: str, arrays: Sequence[Any], *args: Any, how: Any = None, **options: Any
) -> None:
    """Compare `ops.name(*arrays, *args, **options)` with the function of that name in `theirs`, a module of PyTorch's.

    A dtype among the options, given by name, is translated; `how` holds options of `compare_with_torch`.
    """
    import torch

    their_options = {k: getattr(torch, v) if k == "dtype" else v for k, v in options.items()}
    compare_with_torch(
        lambda *tensors: getattr(ops, name)(*tensors, *args, **options),
        lambda *tensors: getattr(theirs, name)(*tensors, *args, **their_options),
        arrays,
        **(how or {}),
    )
