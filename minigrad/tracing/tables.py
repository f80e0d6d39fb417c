"""A trace as a table: text, or a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from minigrad.errors import ArgumentError
from minigrad.tracing.operation_record import OperationRecord

if TYPE_CHECKING:
    from minigrad.tracing.trace import Trace

_SORTS: dict[str, Callable[[OperationRecord], float]] = {
    "time": lambda r: r.forward_seconds + (r.gradient_seconds or 0.0),
    "memory": lambda r: r.bytes_allocated + r.bytes_saved,
    "flops": lambda r: r.flops,
}


def summary(trace: Trace, limit: int | None, sort: str | None) -> str:
    """See `Trace.summary`."""
    if sort is not None and sort not in _SORTS:
        raise ArgumentError(f"a trace is sorted by {', '.join(_SORTS)}, not {sort!r}")
    records = [r for r in trace.records if r.inside is None]
    listed = sorted(records, key=_SORTS[sort], reverse=True) if sort else list(trace.records)
    shown = listed if limit is None else listed[:limit]
    name = max([len("operation"), *(len(_title(r)) for r in shown)])
    module = min(max([len("module"), *(len(r.module or "") for r in shown)]), 40)
    detailed = trace.level != "meta"
    head = f"{'#':>5} {'operation':<{name}} {'module':<{module}} {'output':<18} "
    head += f"{'forward':>9} {'gradient':>9} {'saved':>9} {'MFLOP':>9}"
    head += f" {'mean':>10} {'std':>9} {'zeros':>6} {'|grad|':>9}" if detailed else ""
    lines = [head]
    for r in shown:
        y = r.outputs[0]
        line = (
            f"{r.number:>5} {_title(r):<{name}} {(r.module or '')[:module]:<{module}} {_shape(y.shape):<18} "
            f"{1e3 * r.forward_seconds:>6.2f} ms {_milliseconds(r.gradient_seconds):>9} "
            f"{_bytes(r.bytes_saved):>9} {r.flops / 1e6:>9,.1f}"
        )
        if detailed and y.statistics is not None:
            s = y.statistics
            line += f" {s.mean:>10.3g} {s.std:>9.3g} {s.zeros / max(s.count, 1):>6.0%}"
            line += f" {y.gradient.norm:>9.3g}" if y.gradient is not None else ""
        lines.append(line)
    if len(shown) < len(listed):
        lines.append(f"      ... {len(listed) - len(shown)} more")
    lines.append(_totals(trace, records))
    return "\n".join(line.rstrip() for line in lines)


def _totals(trace: Trace, records: list[OperationRecord]) -> str:
    forward = sum(r.forward_seconds for r in records)
    gradient = sum(r.gradient_seconds or 0.0 for r in records)
    text = (
        f"{len(records)} operations: forward {1e3 * forward:.1f} ms, gradient {1e3 * gradient:.1f} ms, "
        f"{sum(r.flops for r in records) / 1e9:.3g} GFLOP forward, {_bytes(sum(r.bytes_allocated for r in records))} "
        f"allocated, {_bytes(sum(r.bytes_saved for r in records))} saved for backward"
    )
    if trace.level == "full":
        text += f"; {_bytes(trace.held_bytes)} of values held"
        text += f", {trace.dropped} arrays left out by the budget" if trace.dropped else ""
    return text


def to_pandas(trace: Trace) -> Any:
    """See `Trace.to_pandas`."""
    try:
        import pandas
    except ImportError as error:
        raise ArgumentError(
            "to_pandas needs pandas: pip install pandas. as_dict() gives the same without"
        ) from error
    return pandas.DataFrame([_row(r) for r in trace.records]).set_index("number")


def _row(r: OperationRecord) -> dict[str, Any]:
    y = r.outputs[0]
    row = {
        "number": r.number,
        "name": r.name,
        "op": r.op.name,
        "module": r.module,
        "shape": y.shape,
        "dtype": str(y.dtype),
        "forward_seconds": r.forward_seconds,
        "gradient_seconds": r.gradient_seconds,
        "bytes_allocated": r.bytes_allocated,
        "bytes_saved": r.bytes_saved,
        "bytes_freed": r.bytes_freed,
        "flops": r.flops,
        "intensity": r.intensity,
        "line": str(r.source) if r.source else None,
        "inside": r.inside,
        "batch": r.batch,
    }
    for prefix, statistics in (("", y.statistics), ("gradient_", y.gradient)):
        if statistics is not None:
            for field in ("mean", "std", "minimum", "maximum", "norm", "zeros", "nans", "infs"):
                row[prefix + field] = getattr(statistics, field)
    return row


def _title(r: OperationRecord) -> str:
    return r.name if r.inside is None else f"  {r.name}"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "()"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:.2f} ms"


def _bytes(n: float) -> str:
    for unit in ("B", "KB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.2f} GB"
