"""The engine, backward: gradients walk the recorded nodes from the newest to the oldest.

The walk is iterative, so a graph may be as deep as memory allows. A gradient is handed on when its last
contribution has arrived, which is when hooks see it; what a node kept is freed as soon as it has been
passed. Each gradient goes through the same interception point as the forward. Under `create_graph` the same
gradient texts run on tensors and are recorded in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from minigrad import dtypes, engine, observe
from minigrad.backend import Backend
from minigrad.engine import GradMode, Node, describe, edge_of
from minigrad.errors import GraphError, ShapeError

TracedNamespace: Any = None  # set by minigrad.ops: traced operations in NumPy's spelling

Edge = tuple[Any, int]  # a node and the number of an output of it, or a leaf and 0


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
    starts = [edge_of(root) for root in roots]
    walk = _Walk(starts, None if inputs is None else {edge_of(x) for x in inputs}, create_graph)
    with GradMode(create_graph):
        for edge, seed in zip(starts, seeds, strict=True):
            walk.deliver(edge, seed if create_graph else seed.array)
        for node in walk.nodes:
            walk.pass_through(node, retain_graph)
    found = [(x, walk.captured.get(edge_of(x))) for x in inputs or ()]
    return [g if g is None or create_graph else _own(g, x.backend) for x, g in found]


class _Walk:
    """One walk back through a graph.

    nodes:    what is passed, newest first. Whatever uses a node's output is newer than the node, so its gradients are
              complete when its turn comes.
    wanted:   the edges whose gradients are asked for, None for those of all leaves; useful: the nodes that lead to one.
    awaited:  how many contributions each leaf will still receive. Leaves do not wait for their turn: whoever waits for
              a complete gradient (to send it to other processes, say) gets it at once.
    pending:  the gradients so far, by edge.
    captured: the complete gradients of wanted edges.
    """

    def __init__(self, starts: list[Edge], wanted: set[Edge] | None, create_graph: bool) -> None:
        self.nodes, self.awaited = _survey(starts)
        self.wanted, self.create_graph = wanted, create_graph
        self.useful = set() if wanted is None else _leading_to(wanted, self.nodes)
        self.pending: dict[Edge, Any] = {}
        self.captured: dict[Edge, Any] = {}

    def deliver(self, edge: Edge, gradient: Any) -> None:
        """Take in a contribution, which may be None; a leaf's last one completes its gradient."""
        if gradient is not None:
            if edge not in self.pending:
                self.pending[edge] = gradient
            else:
                self.pending[edge] = self._sum(self.pending[edge], gradient, edge[0].backend)
        leaf = edge[0]
        if type(leaf) is not Node:
            self.awaited[leaf] -= 1
            if self.awaited[leaf] == 0:
                gradient = self.complete(edge)
                if gradient is not None and self.wanted is None:
                    _accumulate(leaf, gradient, self.create_graph)

    def _sum(self, a: Any, b: Any, backend: Backend) -> Any:
        return a + b if self.create_graph else backend.add(a, b)

    def complete(self, edge: Edge) -> Any:
        """The gradient at an edge where all contributions have arrived, after hooks; None if there were none."""
        gradient = self.pending.pop(edge, None)
        if gradient is None:
            return None
        target, index = edge
        hooks = target._hooks if type(target) is not Node else target.hooks and target.hooks.get(index)
        if hooks:
            gradient = _run_hooks(hooks, gradient, target.backend)
        if self.wanted is not None and edge in self.wanted:
            self.captured[edge] = gradient
        return gradient

    def pass_through(self, node: Node, retain_graph: bool) -> None:
        """Take the gradients of a node's outputs to its inputs."""
        gys, arrived = [], False
        for i in range(len(node.output_meta)):
            gys.append(gy := self.complete((node, i)))
            arrived = arrived or gy is not None
        edges, wanted = node.edges, self.wanted
        if wanted is not None:
            if node not in self.useful:
                return
            edges = [e if e is not None and (e in wanted or e[0] in self.useful) else None for e in edges]
        gradients = _gradients_of(node, gys, edges, self.create_graph) if arrived else [None] * len(edges)
        if not retain_graph:
            node.kept = None
        for i, edge in enumerate(edges):
            if edge is not None:
                self.deliver(edge, gradients[i])


def _survey(starts: list[Edge]) -> tuple[list[Node], dict[Any, int]]:
    """The nodes that can be reached, newest first, and how many edges lead to each leaf."""
    found: set[Node] = set()
    awaited: dict[Any, int] = {}
    stack: list[Sequence[Edge | None]] = [starts]
    while stack:
        for edge in stack.pop():
            if edge is not None:
                target = edge[0]
                if type(target) is not Node:
                    awaited[target] = awaited.get(target, 0) + 1
                elif target not in found:
                    found.add(target)
                    stack.append(target.edges)
    return sorted(found, key=attrgetter("order"), reverse=True), awaited


def _leading_to(wanted: set[Edge], nodes: list[Node]) -> set[Node]:
    """Those nodes from which a wanted edge can be reached."""
    useful: set[Node] = set()
    for node in reversed(nodes):  # oldest first: what an edge leads to is decided before the node above it
        if any(e is not None and (e in wanted or e[0] in useful) for e in node.edges):
            useful.add(node)
    return useful


def seed(root: Any, gradient: Any) -> Any:
    """The gradient a backward pass starts from at `root`, checked; 1 if none is given and the root is one number."""
    if not root._requires_grad:
        raise GraphError(
            "nothing to differentiate: the tensor does not require grad and no recorded operation made it"
        )
    if gradient is None:
        if root.array.size != 1:
            raise GraphError(
                f"backward without a gradient needs a tensor of one element, not of shape {list(root.shape)}; "
                "pass gradient="
            )
        return engine.Tensor._wrap(root.backend.xp.asarray(1, root.dtype).reshape(root.shape), root.backend)
    gradient = (
        gradient if isinstance(gradient, engine.Tensor) else engine.Tensor(gradient, device=root.backend)
    )
    if gradient.shape != root.shape:
        raise ShapeError(
            f"the gradient has shape {list(gradient.shape)}, the tensor {list(root.shape)}; they must agree"
        )
    return gradient.to(dtype=root.dtype)


def _gradients_of(node: Node, gys: list[Any], edges: Sequence[Edge | None], create_graph: bool) -> list[Any]:
    """Call the operation's gradient for the inputs that have an edge: with arrays, or with tensors when it is to be
    differentiated again.
    """
    op, backend = node.op, node.backend
    if node.kept is None:
        raise GraphError(
            f"the graph of {op.name} was freed by an earlier backward; "
            "pass retain_graph=True to that one to go through it twice"
        )
    xp = TracedNamespace(backend) if create_graph else backend.xp
    for i, (shape, dtype) in enumerate(node.output_meta):
        if gys[i] is None and dtype in dtypes.FLOATING and i not in op.intermediates:
            gys[i] = xp.zeros(shape, dtype=dtype)
        if dtype in backend.storage_only and not create_graph:
            gys[i] = _widen(gys[i], backend)
    gy = gys[0] if len(gys) == 1 else tuple(gys)
    arguments = [_argument(node, kind, index, edges, create_graph) for kind, index in op.wants]
    params = {name: node.params[name] for name in op.gradient_params} if op.gradient_params else {}
    call = observe.begin(op, "gradient", backend, gys, node.params, node) if observe.observers else None
    kernel = None if create_graph else backend.kernels.get(op.name)
    result = None
    if kernel is not None and kernel.gradient is not None:
        result = kernel.gradient(xp, gy, *arguments, **params)
    if result is None:
        result = op.gradient_fn(xp, gy, *arguments, **params)  # type: ignore[misc]
    results = tuple(result) if type(result) in (tuple, list) else (result,)
    if call is not None:
        observe.end(call, results)
    if len(results) != len(edges):
        raise GraphError(f"the gradient of {op.name} returned {len(results)} arrays for {len(edges)} inputs")
    return [
        None if g is None or edge is None else _fit(node, i, g, xp)
        for i, (g, edge) in enumerate(zip(results, edges, strict=True))
    ]


def _argument(node: Node, kind: str, index: int, edges: Sequence[Edge | None], create_graph: bool) -> Any:
    """One argument of a gradient, as `Operation.wants` describes it."""
    if kind == "needs":
        return tuple([edge is not None for edge in edges])
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
    if type(gradient) is not node.backend.array_type:
        gradient = xp.asarray(gradient)
    if gradient.shape != shape:
        if not node.op.broadcast:
            raise GraphError(
                f"the gradient of {node.op.name} has shape {list(gradient.shape)} for input {i} of shape {list(shape)}"
            )
        lead = gradient.ndim - len(shape)
        axes = tuple(range(lead)) + tuple(lead + a for a, n in enumerate(shape) if n == 1)
        gradient = xp.sum(gradient, axis=axes, keepdims=True).reshape(shape)
    return gradient if gradient.dtype is dtype or gradient.dtype == dtype else gradient.astype(dtype)


def _run_hooks(hooks: dict, gradient: Any, backend: Backend) -> Any:
    """Show a complete gradient to the hooks registered for it; what one returns replaces it."""
    raw = not isinstance(gradient, engine.Tensor)
    tensor = engine.Tensor._wrap(gradient, backend) if raw else gradient
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
        slot = leaf._home.take_in(leaf, gradient) if leaf._home is not None else None
        leaf.grad = _own(gradient, leaf.backend) if slot is None else engine.Tensor._wrap(slot, leaf.backend)
    elif not isinstance(leaf.grad, engine.Tensor) or leaf.grad.shape != gradient.shape:
        raise GraphError(
            f"a gradient of shape {list(gradient.shape)} arrived at a leaf whose .grad is {describe(leaf.grad)}; "
            "set .grad to None or to a tensor of the shape of the leaf"
        )
    else:
        leaf.grad._write(lambda total: total.__iadd__(gradient))
    if leaf._accumulated_hooks:
        for hook in tuple(leaf._accumulated_hooks.values()):
            hook(leaf)
