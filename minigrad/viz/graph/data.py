"""A trace in its dictionary form: taken in, checked, and written as JSON that may stand inside a page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from minigrad.errors import ArgumentError

FORMAT = "minigrad-trace-1"
DIGITS = 6  # of a number in the page: about as many as float32 has


def trace_data(trace: Any) -> Mapping[str, Any]:
    """The dictionary form of a trace, which may be given as such or as an object with `.as_dict()`.

    Raises ArgumentError for anything else, for another format, and for records that refer to others that are not
    there.
    """
    data = trace.as_dict() if hasattr(trace, "as_dict") else trace
    if not isinstance(data, Mapping):
        raise ArgumentError(
            f"a trace is wanted, or its dictionary form (Trace.as_dict()); got {type(trace).__name__}"
        )
    if data.get("format") != FORMAT:
        raise ArgumentError(
            f"a trace of the format {FORMAT!r} is wanted; this one says {data.get('format')!r}"
        )
    records = data["records"]
    for position, record in enumerate(records):
        if record["number"] != position:
            raise ArgumentError(
                f"records are numbered by position; record {position} is numbered {record['number']}"
            )
        for what, other in [("inside", record["inside"]), *(("parent", p) for p in parents(record))]:
            if other is not None and not 0 <= other < len(records):
                raise ArgumentError(
                    f"record {position} names {other} as its {what}; there are {len(records)} records"
                )
        if record["inside"] is not None and record["inside"] >= position:
            # A part runs when its composite has been recorded; anything else could go round in circles
            raise ArgumentError(
                f"record {position} is said to be inside record {record['inside']}, which is later"
            )
    return data


def parents(record: Mapping[str, Any]) -> list[int]:
    """Numbers of the records whose outputs this one reads, each once, in the order of its inputs."""
    found = (source.get("parent") for source in record["inputs"])
    return list(dict.fromkeys(number for number in found if number is not None))


def shape_text(shape: Sequence[int]) -> str:
    """A shape as people write it: 32×64×56×56, or "scalar".

    >>> shape_text([32, 10])
    '32×10'
    """
    return "×".join(str(length) for length in shape) or "scalar"


def main_shape(record: Mapping[str, Any]) -> str:
    """The shape of a record's first output, or nothing."""
    shapes = [output["shape"] for output in record["outputs"][:1] if "shape" in output]
    return shape_text(shapes[0]) if shapes else ""


def compact(value: Any) -> Any:
    """`value` in what JSON has, and no longer than a page needs.

    Numbers are rounded to DIGITS; NaN and infinities become the words "nan", "inf" and "-inf"; of a histogram's evenly
    spaced edges the first and last remain.

    >>> compact({"mean": 0.123456789, "std": float("nan"), "edges": [0.0, 0.5, 1.0]})
    {'mean': 0.123457, 'std': 'nan', 'edges': [0.0, 1.0]}
    """
    if isinstance(value, Mapping):
        return {str(name): _ends(item) if name == "edges" else compact(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [compact(item) for item in value]
    if value is None or isinstance(value, (str, bool, int)):
        return value
    value = value.item() if hasattr(value, "item") else value  # NumPy's scalars
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else str(value)
    return value if isinstance(value, int) else str(value)


def _ends(edges: Any) -> Any:
    """First and last of edges that are evenly spaced; others as they are."""
    if not isinstance(edges, (list, tuple)) or len(edges) < 3:
        return compact(edges)
    width = (edges[-1] - edges[0]) / (len(edges) - 1)
    even = all(abs(edges[0] + i * width - edge) <= 1e-3 * abs(width) for i, edge in enumerate(edges))
    return compact([edges[0], edges[-1]] if even else edges)


def json_for_page(value: Any) -> str:
    """JSON that may stand in a page's script element: no text in it can end the element, or begin another.

    >>> json_for_page({"module": "</script><script>"})
    '{"module":"\\\\u003c/script\\\\u003e\\\\u003cscript\\\\u003e"}'
    """
    text = json.dumps(compact(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # In JSON these stand only within strings; the last two end a line in JavaScript's older grammar
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
