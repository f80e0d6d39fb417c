"""The engine, backward: gradients walk the recorded nodes from the newest to the oldest.

The walk is iterative, so a graph may be as deep as memory allows. A target's gradient is handed on when its
last contribution has arrived, which is when hooks see it; what a node kept is freed as soon as it has been
passed. Each gradient goes through the same interception point as the forward. Under `create_graph` the same
gradient texts run on tensors and are recorded in turn.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from typing import Any

from minigrad import dtypes, engine, observe
from minigrad.backend import Backend
from minigrad.engine import Node, describe, edge_of
from minigrad.errors import GraphError, ShapeError

TracedNamespace: Any = None  # set by minigrad.ops: traced operations in NumPy's spelling


def backward(
    roots: Sequence[Any],
    seeds: Sequence[Any],
    *,
    inputs: Sequence[Any] | None = None,
    retain_graph: bool,
    create_graph: bool,
) -> list[Any]:
    """Propagate the gradients `seeds` of the `roots` back through the graph.

    Without `inputs`, gradients are added to the leaves' `.grad`. With them, they are returned (None for one
    that the roots do not depend on), nothing is accumulated, and only what leads to an input is computed.
    """
    wanted = None if inputs is None else {edge_of(x) for x in inputs}
    arriving, useful = _plan([edge_of(r) for r in roots], wanted)
    pending: dict[Any, dict[int, Any]] = {}  # target -> output number -> gradient so far
    captured: dict[tuple[Any, int], Any] = {}
    ready: list[tuple[float, int, Any]] = []
    tie = itertools.count()

    def deliver(target: Any, index: int, gradient: Any) -> None:
        slots = pending.setdefault(target, {})
        if gradient is not None and index in slots:
            total = slots[index] + gradient
            slots[index] = total if create_graph else target.backend.xp.asarray(total)
        elif gradient is not None:
            slots[index] = gradient
        arriving[target] -= 1
        if arriving[target] == 0:
            # Leaves go first: whoever waits for a complete gradient (to send it to other processes, say) gets
            # it at once
            heapq.heappush(
                ready, (-target.order if isinstance(target, Node) else -math.inf, next(tie), target)
            )

    with engine.set_grad_enabled(create_graph):
        for root, seed in zip(roots, seeds, strict=True):
            deliver(*edge_of(root), seed if create_graph else seed.array)
        while ready:
            target = heapq.heappop(ready)[-1]
            slots = pending.pop(target)
            for index, gradient in slots.items():
                slots[index] = gradient = _run_hooks(target, index, gradient)
                if wanted is not None and (target, index) in wanted:
                    captured[target, index] = gradient
            if not isinstance(target, Node):
                if wanted is None and slots:
                    _accumulate(target, slots[0], create_graph)
            elif target in useful:
                needs = tuple(
                    [
                        e is not None and (wanted is None or e in wanted or e[0] in useful)
                        for e in target.edges
                    ]
                )
                gradients = (
                    _gradient_of(target, slots, needs, create_graph) if slots else itertools.repeat(None)
                )
                if not retain_graph:
                    target.kept = None
                for edge, gradient in zip(target.edges, gradients, strict=False):
                    if edge is not None:
                        deliver(edge[0], edge[1], gradient)
    found = [captured.get(edge_of(x)) for x in inputs or ()]
    return [
        _own(g, x.backend) if g is not None and not create_graph else g
        for g, x in zip(found, inputs or (), strict=True)
    ]


def seed(root: Any, gradient: Any) -> Any:
    """The gradient a backward pass starts from at `root`, checked; 1 if none is given and the root is one number."""
    if not root.requires_grad:
        raise GraphError(
            "nothing to differentiate: the tensor does not require grad and no recorded operation made it"
        )
    if gradient is None:
        if root.array.size != 1:
            raise GraphError(
                f"backward without a gradient needs a tensor of one element, not of shape {list(root.shape)}; "
                "pass gradient="
            )
        return engine.Tensor._wrap(root.backend.xp.ones_like(root.array), root.backend)
    gradient = (
        gradient if isinstance(gradient, engine.Tensor) else engine.Tensor(gradient, device=root.backend)
    )
    if gradient.shape != root.shape:
        raise ShapeError(
            f"the gradient has shape {list(gradient.shape)}, the tensor {list(root.shape)}; they must agree"
        )
    return gradient.to(dtype=root.dtype)


def _plan(roots: list[tuple[Any, int]], wanted: set | None) -> tuple[dict[Any, int], set]:
    """How many contributions each target will receive, and which nodes lead to a wanted one."""
    reachable = {target for target, _ in roots}
    stack = list(reachable)
    while stack:
        target = stack.pop()
        for edge in target.edges if isinstance(target, Node) else ():
            if edge is not None and edge[0] not in reachable:
                reachable.add(edge[0])
                stack.append(edge[0])
    nodes = [t for t in reachable if isinstance(t, Node)]
    useful = set(nodes)
    if wanted is not None:
        useful = set()
        for node in sorted(
            nodes, key=lambda n: n.order
        ):  # oldest first: an edge's target is decided before the node above it
            if any(e is not None and (e in wanted or e[0] in useful) for e in node.edges):
                useful.add(node)
    arriving = dict.fromkeys(reachable, 0)
    for target, _ in roots + [edge for node in useful for edge in node.edges if edge is not None]:
        arriving[target] += 1
    return arriving, useful


def _gradient_of(node: Node, slots: dict[int, Any], needs: tuple[bool, ...], create_graph: bool) -> list[Any]:
    """Call the operation's gradient: with arrays, or with tensors when it is to be differentiated again."""
    op, backend = node.op, node.backend
    if node.kept is None:
        raise GraphError(
            f"the graph of {op.name} was freed by an earlier backward; "
            "pass retain_graph=True to that one to go through it twice"
        )
    xp = TracedNamespace(backend) if create_graph else backend.xp
    gys = [slots.get(i) for i in range(len(node.output_meta))]
    for i, (shape, dtype) in enumerate(node.output_meta):
        if gys[i] is None and dtype in dtypes.FLOATING:
            gys[i] = xp.zeros(shape, dtype=dtype)
    if not create_graph:
        gys = [_widen(g, backend) for g in gys]
    gy = gys[0] if len(gys) == 1 else tuple(gys)
    arguments = [_argument(node, kind, index, needs, create_graph) for kind, index in op.wants]
    params = {name: node.params[name] for name in op.gradient_params}
    kernel = None if create_graph else backend.kernels.get(op.name)

    def run() -> tuple:
        result = (
            kernel.gradient(xp, gy, *arguments, **params)
            if kernel is not None and kernel.gradient is not None
            else None
        )
        result = op.gradient_fn(xp, gy, *arguments, **params) if result is None else result  # type: ignore[misc]
        return tuple(result) if type(result) in (tuple, list) else (result,)

    results = (
        observe.execute(run, op, "gradient", backend, gys, node.params, node) if observe.observers else run()
    )
    if len(results) != len(node.edges):
        raise GraphError(
            f"the gradient of {op.name} returned {len(results)} arrays for {len(node.edges)} inputs"
        )
    return [_fit(node, i, g, xp) if needs[i] and g is not None else None for i, g in enumerate(results)]


def _argument(node: Node, kind: str, index: int, needs: tuple[bool, ...], create_graph: bool) -> Any:
    """One argument of a gradient, as `Operation.wants` describes it."""
    if kind == "needs":
        return needs
    if kind == "shape":
        return [shape for shape, _ in node.input_meta] if node.op.variadic else node.input_meta[index][0]
    if kind == "input" and node.op.variadic:
        return [_unpack(node, "input", i, create_graph) for i in range(len(node.edges))]
    return _unpack(node, kind, index, create_graph)


def _unpack(node: Node, kind: str, index: int, create_graph: bool) -> Any:
    """An array kept for backward, after checking that nobody wrote to it since; as a tensor of the graph if asked."""
    array, storage, stamp = node.kept.get((kind, index), (None, None, None))  # type: ignore[union-attr]
    if storage is None:
        return array
    if storage.stamp(array) != stamp:
        name = (node.op.inputs if kind == "input" else node.op.outputs)[0 if node.op.variadic else index]
        lent = (
            storage.external and type(stamp) is int
        )  # a stamp from before others could write holds no checksum
        happened = (
            "lent out by DLPack since, and changes there go unseen" if lent else "changed in place since"
        )
        raise GraphError(
            f"{node.op.name} kept its {kind} {name} ({describe(array)}) for backward, and it was {happened}: "
            "its gradient would be wrong. Use a copy (x.clone()) there, or call backward first"
        )
    if not create_graph:
        return _widen(array, node.backend)
    edge: tuple[Any, int] | None = node.edges[index] if kind == "input" else (node, index)
    if edge is not None and not isinstance(edge[0], Node):
        return edge[0]
    tensor = engine.Tensor._wrap(array, node.backend, storage=storage)
    if edge is not None and array.dtype in dtypes.FLOATING:
        tensor._node, tensor._output, tensor._requires_grad = edge[0], edge[1], True
    return tensor


def _widen(array: Any, backend: Backend) -> Any:
    return (
        array.astype(dtypes.float32) if array is not None and array.dtype in backend.storage_only else array
    )


def _fit(node: Node, i: int, gradient: Any, xp: Any) -> Any:
    """Undo broadcasting and promotion: a gradient gets its input's shape and dtype."""
    shape, dtype = node.input_meta[i]
    gradient = xp.asarray(gradient)
    if gradient.shape != shape:
        if not node.op.broadcast:
            raise GraphError(
                f"the gradient of {node.op.name} has shape {list(gradient.shape)} for input {i} of shape {list(shape)}"
            )
        lead = gradient.ndim - len(shape)
        axes = tuple(range(lead)) + tuple(lead + a for a, n in enumerate(shape) if n == 1)
        gradient = xp.sum(gradient, axis=axes, keepdims=True).reshape(shape)
    return gradient if gradient.dtype == dtype else gradient.astype(dtype)


def _run_hooks(target: Any, index: int, gradient: Any) -> Any:
    """Show a complete gradient to the hooks registered for it; what one returns replaces it."""
    hooks = (target.hooks or {}).get(index) if isinstance(target, Node) else target._hooks
    if not hooks:
        return gradient
    raw = not isinstance(gradient, engine.Tensor)
    tensor = engine.Tensor._wrap(gradient, target.backend) if raw else gradient
    for hook in tuple(hooks.values()):
        version = tensor._storage.version if tensor._storage is not None else 0
        replaced = hook(tensor)
        if tensor._storage is not None and tensor._storage.version != version:
            raise GraphError(
                "a hook changed its gradient in place, which others may hold too: the hook should return a new tensor"
            )
        if replaced is not None:
            tensor = _checked_replacement(replaced, tensor)
    return tensor.array if raw else tensor


def _checked_replacement(replaced: Any, gradient: Any) -> Any:
    """What a hook returned, if it can stand in for the gradient; in the gradient's dtype."""
    if not isinstance(replaced, engine.Tensor):
        raise GraphError(
            f"a gradient hook must return a tensor, or None to leave the gradient; not {replaced!r:.80}"
        )
    if replaced.shape != gradient.shape:
        raise ShapeError(
            f"a gradient hook returned {describe(replaced)} for a gradient of shape {list(gradient.shape)}; "
            "the shapes must agree"
        )
    return replaced.to(dtype=gradient.dtype, device=gradient.backend)


def _own(gradient: Any, backend: Backend) -> Any:
    """A tensor that may be written to: others may hold the array too (add hands gy to both operands)."""
    return engine.Tensor._wrap(backend.xp.array(gradient), backend)


def _accumulate(leaf: Any, gradient: Any, create_graph: bool) -> None:
    """Add to a leaf's `.grad`."""
    if create_graph:
        leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient
    elif leaf.grad is None:
        leaf.grad = _own(gradient, leaf.backend)
    elif not isinstance(leaf.grad, engine.Tensor) or leaf.grad.shape != gradient.shape:
        raise GraphError(
            f"a gradient of shape {list(gradient.shape)} arrived at a leaf whose .grad is {describe(leaf.grad)}; "
            "set .grad to None or to a tensor of the shape of the leaf"
        )
    else:
        leaf.grad._write(lambda total: total.__iadd__(gradient))
    for hook in tuple((leaf._accumulated_hooks or {}).values()):
        hook(leaf)
