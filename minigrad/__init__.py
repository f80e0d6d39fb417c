"""minigrad: a deep learning framework written to be read.

    import minigrad as mg
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    x.grad                                             # tensor([2., 4.])

Where PyTorch has the concept, its name and argument names. `minigrad.nn`, `minigrad.optim`, `minigrad.data`,
`minigrad.train` and `minigrad.testing` are loaded when first used.
"""

from importlib import import_module as _import_module
from typing import Any as _Any

from minigrad import ops as _ops
from minigrad.autograd import grad
from minigrad.backend import available_devices, get_backend, manual_seed
from minigrad.backend.threads import get_num_threads, set_num_threads
from minigrad.creation import (
    arange,
    as_tensor,
    empty,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from minigrad.dtypes import (
    as_dtype,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from minigrad.engine import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from minigrad.tensor import Tensor

__version__ = "0.1.0"

bool = bool_
globals().update({_name: getattr(_ops, _name) for _name in _ops.PUBLIC})


# Loaded when first used, so that `import minigrad` stays quick.
_LATER = ("nn", "optim", "data", "distributed", "train", "testing", "tracing", "record", "interpret", "viz")
_LATER_FROM = {
    "profile": "tracing.profile",
    "trace": "tracing.trace",
    "detect_anomaly": "tracing.nonfinite",
    "save": "serialization",
    "load": "serialization",
}


def __getattr__(name: str) -> _Any:
    if name in _LATER:
        return _import_module(f"minigrad.{name}")
    if name in _LATER_FROM:
        return getattr(_import_module(f"minigrad.{_LATER_FROM[name]}"), name)
    raise AttributeError(f"module 'minigrad' has no attribute {name!r}")
