"""Data parallelism: each rank computes the gradients of its part of the batch; all take the step of the whole."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad import communicator, dtypes, engine
from minigrad.communicator import Communicator
from minigrad.distributed.buckets import Reducer
from minigrad.errors import ArgumentError, CommunicationError, GraphError
from minigrad.nn import Module, SyncBatchNorm
from minigrad.tensor import Tensor


class DistributedDataParallel(Module):
    """A module of which every rank has a copy: after backward all have the gradient of the whole batch.

    module:          the one that is copied; found again as `.module`. Rank 0's parameters and buffers are sent to all.
    bucket_cap_mb:   gradients travel in arrays of at most so many megabytes (2^20 bytes), as soon as they are complete.
    broadcast_buffers: after each forward in training mode the others get rank 0's buffers, so that the running averages
                     of a batch norm that is not synchronised are the same on all. Those of `SyncBatchNorm` are anyway.
    gradient_dtype:  send gradients as `mg.float16` or `mg.bfloat16`, half as many bytes; their sums are taken in
                     float32 and rounded once more. None sends them as they are.
    process_group:   the communicator; None for the one in use.

    The loss on each rank is a mean over its part of the batch; the gradient, a mean over the ranks, is then that of the
    mean over all, also where the parts have unequal sizes (dimension 0 of the first tensor given): what arrives at
    the module's output on a rank counts in proportion to its part. Every rank makes the same calls.

    Its state is that of the module, under the same names: a file does not tell on how many ranks it was made.

    Raises CommunicationError where the ranks hold different modules; GraphError where a forward does not use a
    parameter that learns, since the others would wait for its gradient.
    Source: Li et al. 2020, "PyTorch Distributed", section 3.2.

    >>> import minigrad as mg
    >>> model = DistributedDataParallel(mg.nn.Linear(2, 1))     # of one process: no more than the module
    >>> model(mg.ones(4, 2)).shape, sorted(model.state_dict())
    ((4, 1), ['bias', 'weight'])
    """

    def __init__(
        self,
        module: Module,
        bucket_cap_mb: float = 8.0,
        broadcast_buffers: bool = True,
        gradient_dtype: Any = None,
        process_group: Communicator | None = None,
    ) -> None:
        if not isinstance(module, Module):
            raise ArgumentError(f"DistributedDataParallel takes a module, not {type(module).__name__}")
        if not bucket_cap_mb > 0:
            raise ArgumentError(f"bucket_cap_mb must be above 0, not {bucket_cap_mb!r}")
        traffic = None if gradient_dtype is None else dtypes.as_dtype(gradient_dtype)
        if traffic is not None and traffic not in dtypes.HALF:
            raise ArgumentError(f"gradient_dtype must be float16, bfloat16 or None, not {gradient_dtype!r}")
        self.module = module
        self.group = communicator.current() if process_group is None else process_group
        self.broadcast_buffers = broadcast_buffers
        self.require_backward_grad_sync = True
        self._cap, self._traffic = int(bucket_cap_mb * (1 << 20)), traffic
        self._reducer: Reducer | None = None
        _require_same_names(self.group, module)
        self._send(list(module.state_dict().values()))
        self.require_equal()

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module returns for this rank's part of the batch."""
        if not (self.training and engine.is_grad_enabled()) or self.group.size == 1:
            return self.module(*inputs, **options)
        reducer = self._ready_reducer()
        examples = _examples(inputs, options)
        counts = np.array([examples or 0, examples is not None], np.float64)
        counting = self.group.start_all_reduce(counts)
        output = self.module(*inputs, **options)
        counting.wait()
        if self.broadcast_buffers:
            self._send(_own_buffers(self.module))
        leaves = _tensors(output)
        if self.require_backward_grad_sync:
            _require_all_used(self.module, leaves, reducer)
        weight = 1.0 if not counts[1] else self.group.size * (examples or 0) / counts[0]
        if weight != 1:
            for y in leaves:
                if y.requires_grad:
                    y.register_hook(lambda gradient: gradient * weight)
        return output

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within the block backward passes add up gradients on each rank, and send nothing.

        To accumulate over several batches: all but the last in the block, forward and backward. The one outside then
        reduces the sums. Setting `require_backward_grad_sync` to False and to True says the same.
        """
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def require_equal(self) -> None:
        """Raise CommunicationError, naming the first that differs, unless all ranks hold the same bits in parameters
        and buffers."""
        state = self.module.state_dict()
        own = np.array([_checksum(t) for t in state.values()], np.uint32)
        all_sums = self.group.all_gather(own)
        for rank, sums in enumerate(all_sums):
            different = np.flatnonzero(sums != all_sums[0])
            if len(different):
                raise CommunicationError(
                    f"rank {rank} does not hold the same as rank 0: {list(state)[different[0]]} differs, and "
                    f"{len(different) - 1} more. Each rank must compute the same from the same gradients"
                )

    def state_dict(self) -> Any:
        """That of the module."""
        return self.module.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:
        """Into the module; every rank is given the same."""
        return self.module.load_state_dict(state_dict, strict)

    def __deepcopy__(self, memo: dict[int, Any]) -> DistributedDataParallel:
        raise ArgumentError("copy the module, not what makes it parallel: copy.deepcopy(model.module)")

    def _ready_reducer(self) -> Reducer:
        """The reducer of the parameters that learn now; a new one where others did before."""
        learning = tuple(p for p in self.module.parameters() if p.requires_grad)
        reducer = self._reducer
        if reducer is not None:
            left = reducer.outstanding()
            if left:
                names = _names(self.module, left)
                raise GraphError(
                    f"the last backward pass gave no gradient to {names}, for which all other gradients wait: the loss "
                    "must depend on every parameter that learns"
                )
            if len(reducer.parameters) == len(learning) and all(
                a is b for a, b in zip(reducer.parameters, learning)
            ):
                return reducer
            reducer.detach()
        self._reducer = Reducer(
            self.group, learning, self._cap, self._traffic, lambda: self.require_backward_grad_sync
        )
        return self._reducer

    def _send(self, tensors: list[Tensor]) -> None:
        """Overwrite tensors of the state with rank 0's: one message for each device and dtype."""
        kinds: dict[Any, list[Tensor]] = {}
        for tensor in tensors:
            kinds.setdefault((tensor.backend, tensor.dtype), []).append(tensor)
        for (backend, _), alike in kinds.items():
            sent = backend.xp.concatenate([t.array.reshape(-1) for t in alike])
            self.group.broadcast(sent)
            if self.group.rank:
                first = 0
                for t in alike:
                    part = sent[first : first + t.numel()].reshape(t.shape)
                    first += t.numel()
                    t.detach().copy_(Tensor._wrap(part, backend))


def _require_same_names(group: Communicator, module: Module) -> None:
    text = repr([(n, t.shape, str(t.dtype), t.requires_grad) for n, t in module.state_dict().items()])
    digests = group.all_gather(np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8))
    different = [rank for rank, digest in enumerate(digests) if (digest != digests[0]).any()]
    if different:
        raise CommunicationError(
            f"the module of rank {different[0]} has other parameters or buffers than that of rank 0: names, shapes and "
            "dtypes must agree"
        )


def _own_buffers(module: Module) -> list[Tensor]:
    """Buffers that may differ between the ranks after a forward: not those of synchronised norms."""
    return [
        buffer
        for child in module.modules()
        if not isinstance(child, SyncBatchNorm)
        for _, buffer in child._own_buffers()
    ]


def _checksum(tensor: Tensor) -> int:
    host = np.ascontiguousarray(tensor.backend.to_host(tensor.array))
    return zlib.crc32(host.reshape(-1).view(np.uint8).data)


def _examples(inputs: tuple, options: dict[str, Any]) -> int | None:
    """How many examples a rank was given; None if nothing tells."""
    for value in (*inputs, *options.values()):
        if isinstance(value, Tensor) and value.ndim:
            return value.shape[0]
    return None


def _tensors(output: Any) -> list[Tensor]:
    """The tensors in what a module returned."""
    if isinstance(output, Tensor):
        return [output]
    items = output.values() if isinstance(output, Mapping) else output
    return [t for item in items for t in _tensors(item)] if isinstance(output, (tuple, list, Mapping)) else []


def _require_all_used(module: Module, outputs: list[Tensor], reducer: Reducer) -> None:
    """Refuse a graph that does not reach every parameter: its gradient would never come."""
    reached: set[int] = set()
    seen: set[int] = set()
    stack = [engine.edge_of(y)[0] for y in outputs if y.requires_grad]
    while stack:
        target = stack.pop()
        if isinstance(target, Tensor):
            reached.add(id(target))
        elif id(target) not in seen:
            seen.add(id(target))
            stack.extend(edge[0] for edge in target.edges if edge is not None)
    unused = [p for p in reducer.parameters if id(p) not in reached]
    if unused:
        raise GraphError(
            f"this forward did not use {_names(module, unused)}, so no gradient would come from it, and the other "
            "ranks would wait: freeze what is not learnt (requires_grad_(False))"
        )


def _names(module: Module, chosen: list[Tensor]) -> str:
    ids = {id(p) for p in chosen}
    names = [name for name, p in module.named_parameters() if id(p) in ids]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
