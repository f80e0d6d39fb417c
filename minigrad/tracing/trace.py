"""The trace: every operation of a block of code, forward and backward, with its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.observe import observe
from minigrad.tracing import nonfinite, replaying, tables, trace_data
from minigrad.tracing.expansion import Expansion
from minigrad.tracing.filters import Filters, Patterns
from minigrad.tracing.operation_record import OperationRecord
from minigrad.tracing.tracer import Tracer
from minigrad.tracing.update_record import UpdateRecord

LEVELS = ("meta", "stats", "full")


class Trace:
    """What `mg.trace` saw: a list of records in the order of their calls, which can be asked by name.

    level:   "meta", "stats" or "full".
    records: one for each call of an operation.
    updates: one for each parameter in each step of an optimiser, where asked for.
    modules: {dotted path: class} of the models that ran.
    dropped: how many arrays the budget of bytes kept out.

    `t[17]` is the record of that number, `t["relu_3"]` the third call of relu, `t["layer1.0.conv1"]` the record (or the
    list of records) of that module; `t.find(...)` filters. The trace grows while its block runs.
    """

    def __init__(self, level: str, tracer: Tracer) -> None:
        self.level, self._tracer = level, tracer

    @property
    def records(self) -> list[OperationRecord]:
        return self._tracer.records

    @property
    def updates(self) -> list[UpdateRecord]:
        return self._tracer.updates

    @property
    def modules(self) -> dict[str, str]:
        return self._tracer.modules

    @property
    def dropped(self) -> int:
        return self._tracer.budget.dropped

    @property
    def held_bytes(self) -> int:
        """Bytes of the values that the trace holds."""
        return self._tracer.budget.held

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[OperationRecord]:
        return iter(self.records)

    def __getitem__(self, key: int | str) -> Any:
        """A record by its number or name; those of a module by its path: one record, or a list if there are several.

        Raises ArgumentError, with what there is, for an unknown name.
        """
        if isinstance(key, (int, np.integer)):
            if not -len(self) <= key < len(self):
                raise ArgumentError(f"the trace has records 0 to {len(self) - 1}, not {key}")
            return self.records[int(key)]
        if not isinstance(key, str):
            raise ArgumentError(f"a record is found by number or name, not by {key!r:.80}")
        named = [r for r in self.records if r.name == key]
        found = named or [r for r in self.records if key in r.modules and r.inside is None]
        if not found:
            known = [
                *dict.fromkeys(
                    [*(r.name for r in self.records), *(m for r in self.records for m in r.modules)]
                )
            ]
            close = get_close_matches(key, known, 3)
            hint = (
                f"close to it: {', '.join(close)}"
                if close
                else f"there are {', '.join(known[:12]) or 'none'}, ..."
            )
            raise ArgumentError(f"the trace has no operation or module {key!r}; {hint}")
        return found[0] if len(found) == 1 else found

    def find(
        self,
        pattern: str | None = None,
        *,
        op: str | None = None,
        module: str | None = None,
        where: Callable[[OperationRecord], bool] | None = None,
    ) -> list[OperationRecord]:
        """The records that all conditions hold for.

        pattern: of their name, in shell notation: "conv*".
        op:      the operation's name.
        module:  pattern of a module's path, "layer1.*"; "layer1" itself finds what runs in modules below it, too.
        where:   a function that says yes.
        """
        inside = Filters(modules=module)
        return [
            r
            for r in self.records
            if (pattern is None or fnmatchcase(r.name, pattern))
            and (op is None or r.op.name == op)
            and inside.admit(r)
            and (where is None or where(r))
        ]

    def summary(self, limit: int | None = None, sort: str | None = None) -> str:
        """A table of the operations as text, a line each, with totals.

        limit: show so many lines only.
        sort:  "time", "memory" or "flops": the largest first; default the order of calls.
        """
        return tables.summary(self, limit, sort)

    def to_pandas(self) -> Any:
        """A pandas DataFrame, a row for each record. Raises ArgumentError if pandas is not installed."""
        return tables.to_pandas(self)

    def as_dict(self) -> dict[str, Any]:
        """All but the values, in what JSON can hold: see `minigrad/tracing/trace_data.py`."""
        return trace_data.as_dict(self)

    def replay(self) -> list[replaying.Difference]:
        """Compute every operation again from its recorded inputs; returns where values differ: nowhere, if all is well.

        Needs the level "full"; operations whose values the budget or a filter kept out are passed over, and
        ArgumentError is raised if none is left.
        """
        return replaying.replay(self)

    def first_nonfinite(self, *, infinity: bool = True) -> nonfinite.NonFinite | None:
        """Where NaN or infinity began: the first operation, in the order of time, with one in its result (or gradient)
        and none in what it read; None if there is none. Needs the level "stats" or "full".

        infinity: False looks for NaN only, where infinities are meant (a mask of -inf before a softmax).
        """
        return nonfinite.first(self, infinity)

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} operations, level {self.level!r}>"

    def __str__(self) -> str:
        return self.summary()


@contextmanager
def trace(
    level: str = "stats",
    *,
    names: Patterns = None,
    modules: Patterns = None,
    shapes: Any = None,
    budget: int = 2**30,
    updates: bool = False,
    expand: bool = False,
) -> Iterator[Trace]:
    """Trace every operation within the block, forward and backward.

    level:   "meta" for names, shapes, places, times, memory, work; "stats" for these and statistics of every output
             and its gradient (moments, extremes, zeros, NaNs over all elements, and a sample for quantiles and
             histograms); "full" for these and the values.
    names, modules, shapes: take statistics and values of these only: patterns in shell notation of an operation or a
             call ("conv2d", "relu_3"), of module paths ("layer1.*"), and shapes of an output, (None, 64, None, None).
    budget:  how many bytes of values to hold. What goes beyond is left out, and counted in `dropped`.
    updates: also record what optimisers do to each parameter.
    expand:  also compute the parts of composites, to show them: records of their own, `inside` the composite's.

    Observing changes no bits of what is computed. Values are held by reference as long as nobody writes to them.
    Raises ArgumentError for an unknown level or a budget below 0.

    >>> import minigrad as mg
    >>> layer = mg.nn.Linear(3, 2)
    >>> with mg.trace("full") as t:
    ...     mg.relu(layer(mg.ones(4, 3))).sum().backward()
    >>> [record.name for record in t]
    ['linear_1', 'relu_1', 'sum_1']
    >>> t["relu_1"].parents, t["linear_1"].input("w").parameter, t["sum_1"].output().shape
    ([0], 'weight', ())
    >>> t["relu_1"].output().gradient.mean
    1.0
    >>> t.replay()
    []
    """
    if level not in LEVELS:
        raise ArgumentError(f"the level of a trace is one of {', '.join(LEVELS)}, not {level!r}")
    if budget < 0:
        raise ArgumentError(f"the budget is a number of bytes from 0, not {budget!r}")
    tracer = Tracer(level, Filters(names, modules, shapes), budget, updates)
    with ExitStack() as stack:
        if expand:  # outside of the tracer: its parts come after the composite's own record
            stack.enter_context(observe(Expansion(tracer)))
        stack.callback(tracer.finish)
        stack.enter_context(observe(tracer))
        yield Trace(level, tracer)
