"""A trace as plain data that JSON can hold, for pages, files and other programs.

    {"format": "minigrad-trace-1", "level": ..., "modules": {path: class},
     "records": [{"number", "name", "op", "module", "modules", "source": {"file", "line", "function", "text"},
                  "params", "inputs": [...], "outputs": [...], "children", "inside", "batch",
                  "forward_seconds", "gradient_seconds", "bytes_allocated", "bytes_saved", "bytes_freed",
                  "flops", "intensity", "random", "formula", "gradient_formula", "reference"}],
     "updates": [{"optimizer", "parameter", "shape", "seconds", "weight", "gradient", "change"}]}

An input or output has "name" and either "value" (a number or null) or "shape", "dtype", "device", "strides", "tensor"
(its identity), "bytes", "parent", "parameter", "version", "statistics", "gradient". Numbers that JSON lacks are null.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.tracing.operation_record import OperationRecord, TensorRecord, ValueRecord
from minigrad.tracing.statistics import Statistics
from minigrad.tracing.update_record import UpdateRecord

if TYPE_CHECKING:
    from minigrad.tracing.trace import Trace

FORMAT = "minigrad-trace-1"


def as_dict(trace: Trace) -> dict[str, Any]:
    """See the module."""
    return {
        "format": FORMAT,
        "level": trace.level,
        "modules": dict(trace.modules),
        "records": [_record(record) for record in trace.records],
        "updates": [_update(update) for update in trace.updates],
    }


def _record(record: OperationRecord) -> dict[str, Any]:
    source = record.source
    return {
        "number": record.number,
        "name": record.name,
        "op": record.op.name,
        "module": record.module,
        "modules": list(record.modules),
        "source": source and {**source._asdict(), "file": source.short, "text": source.text},
        "params": {name: plain(value) for name, value in record.params.items()},
        "inputs": [_operand(x) for x in record.inputs],
        "outputs": [_operand(y) for y in record.outputs],
        "children": list(record.children),
        "inside": record.inside,
        "batch": record.batch,
        "forward_seconds": record.forward_seconds,
        "gradient_seconds": record.gradient_seconds,
        "bytes_allocated": record.bytes_allocated,
        "bytes_saved": record.bytes_saved,
        "bytes_freed": record.bytes_freed,
        "flops": record.flops,
        "intensity": record.intensity,
        "random": record.random_state is not None,
        "formula": record.formula,
        "gradient_formula": record.gradient_formula,
        "reference": record.op.source,
    }


def _operand(x: TensorRecord | ValueRecord) -> dict[str, Any]:
    if isinstance(x, ValueRecord):
        return {"name": x.name, "value": plain(x.value)}
    return {
        "name": x.name,
        "shape": list(x.shape),
        "dtype": str(x.dtype),
        "device": x.device,
        "strides": list(x.strides),
        "tensor": x.tensor,
        "bytes": x.nbytes,
        "parent": x.parent,
        "parameter": x.parameter,
        "version": x.version,
        "statistics": _statistics(x.statistics),
        "gradient": _statistics(x.gradient),
    }


def _update(update: UpdateRecord) -> dict[str, Any]:
    return {
        "optimizer": update.optimizer,
        "parameter": update.parameter,
        "shape": list(update.shape),
        "seconds": update.seconds,
        "weight": _statistics(update.weight),
        "gradient": _statistics(update.gradient),
        "change": _statistics(update.change),
    }


def _statistics(statistics: Statistics | None) -> dict[str, Any] | None:
    return None if statistics is None else statistics.as_dict()


def plain(value: Any) -> Any:
    """An option's value as JSON can hold it: what it lacks becomes null or text."""
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.dtype):
        return str(value)
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        return plain(value.item())
    if hasattr(value, "shape"):
        return f"array of shape {list(value.shape)}"
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return repr(value)
