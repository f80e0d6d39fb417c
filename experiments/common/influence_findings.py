"""Which units mattered, since when, and how far that ranking can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.finding import Finding, layers_in_order, span_of, stretches
from minigrad.errors import ArgumentError
from minigrad.record import Agreement, RunReader

Unit = tuple[str, int]  # its layer's path, and its number in it
# From which rank correlation on a ranking is called so: a judgement, beside which the number stands
_CLOSE, _ROUGH = 0.8, 0.5


def important_first(run: RunReader, n: int = 8, method: str = "taylor", parts: int = 10) -> Finding:
    """Which of the hidden units that mattered most at the end were among the first n earliest, and have been since.

    One batch says little of a unit: its share of the influence of all units is averaged over `parts` stretches of the
    run. The last layer's units are the network's answers, and are left out.
    """
    name, title = "important_first", "Which units became important first"
    units, steps, shares = hidden_shares(run, method)
    if not units:
        return Finding.untold(name, title, "no influence of hidden units was recorded.")
    parts_of_run = stretches(steps, parts)
    spans = [(int(steps[part[0]]), int(steps[part[-1]])) for part in parts_of_run]
    means = np.stack([shares[part].mean(axis=0) for part in parts_of_run])  # (stretches, units)
    n = min(n, len(units))
    order = np.argsort(-means, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, len(units) + 1)[None], axis=1)
    rows = []
    for place in order[-1, :n]:
        among = ranks[:, place] <= n
        since = len(among) - int(np.argmin(among[::-1])) if not among.all() else 0  # behind its last absence
        rows.append(
            {
                "layer": units[place][0],
                "unit": units[place][1],
                "share_at_end": float(means[-1, place]),
                "share_at_start": float(means[0, place]),
                "rank_at_start": int(ranks[0, place]),
                f"in_first_{n}_since_step": spans[since][0],
            }
        )
    since_of = [row[f"in_first_{n}_since_step"] for row in rows]
    first, last = rows[int(np.argmin(since_of))], rows[len(rows) - 1 - int(np.argmax(since_of[::-1]))]
    common, count = Counter(row["layer"] for row in rows).most_common(1)[0]
    sentences = [
        f"The {n} of {len(units):,} hidden units that mattered most in {span_of(*spans[-1])} (by {method}) hold "
        f"{means[-1, order[-1, :n]].sum():.0%} of all influence; {count} of them are in {common}."
    ]
    if len(spans) == 1:
        sentences.append("Influence was looked at too seldom to tell since when.")
    else:
        key = f"in_first_{n}_since_step"
        lag = "from the beginning" if first[key] == spans[0][0] else f"since step {first[key]:,}"
        sentences.append(
            f"The first to be among them was {_name(first)}: {lag} (rank {first['rank_at_start']:,} in "
            f"{span_of(*spans[0])})."
        )
        if last[key] != first[key]:
            sentences.append(
                f"The last to join was {_name(last)}, at step {last[key]:,}; at the beginning its rank was "
                f"{last['rank_at_start']:,}."
            )
    return Finding(name, title, tuple(sentences), tuple(rows))


def hidden_shares(run: RunReader, method: str) -> tuple[list[Unit], np.ndarray, np.ndarray]:
    """All units but those of the last layer, the steps (S,), and each unit's share of their influence (S, units).

    A step at which nothing mattered, or a score is not finite, is left out.
    """
    found = {}
    for signal in layers_in_order(run):
        try:
            found[signal.name] = run.units(signal.name, "output", f"influence.{method}")
        except ArgumentError:  # a layer without units, or one that was not ranked
            continue
    layers = list(found)[:-1]
    if not layers:
        return [], np.zeros(0, np.int64), np.zeros((0, 0))
    steps = found[layers[0]][0]
    for layer in layers[1:]:
        steps = np.intersect1d(steps, found[layer][0], assume_unique=True)
    scores = np.concatenate(
        [np.abs(found[layer][1][np.searchsorted(found[layer][0], steps)]) for layer in layers], axis=1
    )
    total = scores.sum(axis=1)
    usable = np.isfinite(total) & (total > 0)
    units = [(layer, unit) for layer in layers for unit in range(found[layer][1].shape[1])]
    if not usable.any():
        return [], np.zeros(0, np.int64), np.zeros((0, 0))
    return units, steps[usable], scores[usable] / total[usable, None]


def trust(run: RunReader) -> Finding:
    """How far the ranking by influence agrees with what removing units really does to the loss."""
    name, title = "trust", "Whether that ranking can be trusted"
    found = run.agreement()
    if not found:
        return Finding.untold(name, title, "the ranking was not held against removing units.")
    rows = tuple(
        {"step": a.step, "method": a.method, "rank_correlation": a.correlation, "units_removed": a.units}
        for a in found
    )
    sentences = []
    for method in dict.fromkeys(a.method for a in found):
        own = [a for a in found if a.method == method]
        known = [a for a in own if np.isfinite(a.correlation)]
        if not known:
            sentences.append(f"The ranking by {method} has no order to compare: all units are alike.")
            continue
        sentences += _judged(method, known)
    return Finding(name, title, tuple(sentences), rows)


def _judged(method: str, known: list[Agreement]) -> list[str]:
    last, lowest = known[-1], min(known, key=lambda a: a.correlation)
    word = (
        "close to the truth"
        if last.correlation >= _CLOSE
        else "roughly right: good for a first look, not for near ranks"
        if last.correlation >= _ROUGH
        else "not to be relied on"
    )
    sentences = [
        f"At step {last.step:,} {last.units} units were removed one by one: the ranking by {method} and the change of "
        f"the loss have a rank correlation of {last.correlation:.2f} (1: the same order, 0: none in common). "
        f"The ranking is {word}."
    ]
    if len(known) > 1:
        sentences.append(
            f"The lowest of {len(known)} such checks was {lowest.correlation:.2f}, at step {lowest.step:,}."
        )
    if last.truth:
        worst = max(last.truth, key=lambda row: row["increase"])
        if worst["increase"] > 0:
            place = 1 + sum(abs(row["score"]) > abs(worst["score"]) for row in last.truth)
            sentences.append(
                f"Without {_name(worst)} the loss on the probe set rises most, by {worst['increase']:.3g}: in the "
                f"ranking it is at place {place} of {last.units}."
            )
        harmless = sum(row["increase"] <= 0 for row in last.truth)
        if harmless:
            sentences.append(f"Without {harmless} of the {last.units} the loss does not rise at all.")
    return sentences


def _name(row: Mapping[str, Any]) -> str:
    return f"unit {row['unit']} of {row['layer']}"
