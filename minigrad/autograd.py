"""Asking for gradients: what `Tensor.backward` and `mg.grad` check before the engine walks the graph."""

from __future__ import annotations

from collections.abc import Sequence

from minigrad.backward import backward, seed
from minigrad.errors import GraphError
from minigrad.tensor import Tensor


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of the sum of `outputs` with respect to `inputs`, returned rather than accumulated (as
    torch.autograd.grad).

    Only what leads to an input is computed. Raises GraphError if the outputs do not depend on an input, unless
    `allow_unused`, which gives None for it.

    >>> x = Tensor(3.0, requires_grad=True)
    >>> (g,) = grad(x**3, x, create_graph=True)
    >>> grad(g, x)
    (tensor(18.),)
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    seeds = [grad_outputs] if grad_outputs is None or isinstance(grad_outputs, Tensor) else list(grad_outputs)
    seeds = seeds * len(outputs) if grad_outputs is None else seeds
    if len(seeds) != len(outputs):
        raise GraphError(f"grad_outputs holds {len(seeds)} gradients for {len(outputs)} outputs")
    if any(not x.requires_grad for x in inputs):
        raise GraphError("every input of grad must require grad")
    gradients = [seed(o, g) for o, g in zip(outputs, seeds, strict=True)]
    retain = create_graph if retain_graph is None else retain_graph
    found = backward(outputs, gradients, inputs=inputs, retain_graph=retain, create_graph=create_graph)
    if not allow_unused and any(g is None for g in found):
        missing = [i for i, g in enumerate(found) if g is None]
        raise GraphError(
            f"the outputs do not depend on inputs {missing}; pass allow_unused=True to get None for them"
        )
    return tuple(found)
