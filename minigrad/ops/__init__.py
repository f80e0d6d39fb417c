"""The operations, by family. A new operation goes into the family it belongs to; a new family is one name in FAMILIES.

Each family's `__all__` names its public functions (`mg.exp`, `mg.nn.functional.conv2d`), its `METHODS` those that are
also methods of Tensor (`x.exp()`).
"""

from __future__ import annotations

from importlib import import_module

from minigrad import backward

FAMILIES = """
    arithmetic powers rounding compare selection transcendental trigonometric shape permute reduce
    scan extremes spread order softmax dropout attention linalg products einsum window conv
    conv_transpose max_pool avg_pool adaptive_pool resample pixel_shuffle index join activation
    activation_linear padding rearrange diagonal gather lookup batch_normalization normalization
    response_normalization loss_classification loss_probability loss_regression loss_similarity composites
    sync_batch_norm
""".split()  # noqa: SIM905 (as a list it would fill the page)

PUBLIC: list[str] = []
METHODS: list[str] = []
_modules = [import_module(f"{__name__}.{_family}") for _family in FAMILIES]
for (
    _module
) in _modules:  # after all imports: each binds its module's name here, which may be a function's too
    globals().update({_name: getattr(_module, _name) for _name in _module.__all__})
    PUBLIC += _module.__all__
    METHODS += _module.METHODS

from minigrad.ops.index import assign  # noqa: E402, F401  (for Tensor.__setitem__)
from minigrad.ops.namespace import TracedNamespace  # noqa: E402  (it uses the families)

backward.TracedNamespace = TracedNamespace
