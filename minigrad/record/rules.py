"""Assertions over time: what should hold at every step, and who says so when it does not."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from minigrad.errors import ArgumentError, RuleWarning
from minigrad.record.facts import Facts, SignalFacts
from minigrad.record.schema import SEVERITIES

_KINDS = {
    "parameters": "parameter",
    "layers": "layer",
    "units": "layer whose units are looked at (full_every)",
}


class Finding(NamedTuple):
    """What a rule found: how bad it is, the rule's name, what it says, and the signal and unit it is about, if any."""

    severity: str
    rule: str
    text: str
    signal: str | None
    unit: int | None

    def tell(self) -> None:
        """Warn."""
        warnings.warn(self.text, RuleWarning, stacklevel=5)


class Rule:
    """Base of the rules.

    name:     what it is called in the record.
    severity: "note" (written down), "warning" (said as well) or "stop" (training ends after the step).
    pattern:  shell pattern of the parameters' names, or the layers' paths, that it is about; None for the whole step.
    about:    what these are: "parameters", "layers", "units" (layers, looked at in full).
    repeats:  whether what it found once may be told again; else of each signal and unit only the first finding counts.

    A subclass defines `look`, and `begin` if it remembers. A rule belongs to one recorder at a time.
    """

    about: tuple[str, ...] = ("parameters", "layers")
    repeats = False

    def __init__(self, name: str, severity: str, pattern: str | None) -> None:
        if severity not in SEVERITIES:
            raise ArgumentError(f"severity is one of {', '.join(SEVERITIES)}, not {severity!r}")
        self.name, self.severity, self.pattern = name, severity, pattern

    def begin(self) -> None:
        """A run begins: forget what was seen."""

    def look(self, facts: Facts) -> Iterator[tuple[str | None, int | None, str]]:
        """What is wrong in this step: signal, unit and what to say, for each."""
        raise NotImplementedError

    def matching(self, among: dict[str, SignalFacts]) -> Iterator[SignalFacts]:
        """The facts of the signals that the rule is about."""
        for name, facts in among.items():
            if self.pattern is None or fnmatchcase(name, self.pattern):
                yield facts

    def matches_any(self, names: Iterable[str]) -> bool:
        """Whether there is a signal that the rule is about."""
        return self.pattern is None or any(fnmatchcase(name, self.pattern) for name in names)


class RuleBook:
    """Several rules, and what they have found so far."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = list(rules)
        for rule in self.rules:
            if not isinstance(rule, Rule):
                raise ArgumentError(f"a rule is what always(...) or dead_units() returns, not {rule!r:.80}")
        self._told: set[tuple[int, str | None, int | None]] = set()

    def begin(self) -> None:
        """A run begins."""
        self._told.clear()
        for rule in self.rules:
            rule.begin()

    def require_signals(self, names: Mapping[str, Sequence[str]]) -> None:
        """Raise ArgumentError for a rule about signals that are not looked at; `names` are those that are, by kind."""
        for rule in self.rules:
            known = [name for kind in rule.about for name in names[kind]]
            if not rule.matches_any(known):
                shown = f"{', '.join(known[:12])}{', ...' if len(known) > 12 else ''}" or "none"
                kinds = " or ".join(_KINDS[kind] for kind in rule.about)
                raise ArgumentError(
                    f"the rule {rule.name!r} is about {rule.pattern!r}, but no {kinds} that is recorded has such a "
                    f"name; there are {shown}"
                )

    def check(self, facts: Facts) -> list[Finding]:
        """What the rules find in a step that they had not found before."""
        found = []
        for number, rule in enumerate(self.rules):
            for signal, unit, text in rule.look(facts):
                if rule.repeats or (number, signal, unit) not in self._told:
                    self._told.add((number, signal, unit))
                    found.append(
                        Finding(rule.severity, rule.name, f"step {facts.step}: {text}", signal, unit)
                    )
        return found


class _Always(Rule):
    def __init__(
        self, pattern: str, condition: Callable[[SignalFacts], Any], name: str, severity: str, after: int
    ) -> None:
        super().__init__(name, severity, pattern)
        self.condition, self.after = condition, after

    def look(self, facts: Facts) -> Iterator[tuple[str | None, int | None, str]]:
        if facts.step <= self.after:
            return
        for signal in (*self.matching(facts.parameters), *self.matching(facts.layers)):
            try:
                holds = self.condition(signal)
            except AttributeError as error:
                if error.obj is not None:  # a mistake in the condition
                    raise
                continue  # asks for something that was not looked at: that is None
            if not holds:
                yield signal.name, None, f"{signal.name}: {self.name!r} does not hold ({_told(signal)})"


def always(
    pattern: str,
    condition: Callable[[SignalFacts], Any],
    *,
    name: str | None = None,
    severity: str = "warning",
    after: int = 0,
) -> Rule:
    """A rule: `condition` holds for these parameters or layers at every step at which they are looked at.

    pattern:   shell pattern of parameters' dotted names or layers' paths, such as "layer*.weight".
    condition: a function of SignalFacts, such as `lambda s: 1e-4 < s.update_ratio < 1e-1`, or of a layer
               `lambda s: s.output.std > 0.01`. NaN holds in no comparison.
    name:      by default "always <pattern>".
    severity:  "note", "warning" or "stop".
    after:     the first so many steps may do as they like.

    >>> rule = always("*.weight", lambda s: s.update_ratio < 0.1, severity="stop")
    >>> rule.name
    'always *.weight'
    """
    if not callable(condition):
        raise ArgumentError(f"a condition is a function of the facts of a signal, not {condition!r:.80}")
    return _Always(pattern, condition, name or f"always {pattern}", severity, after)


class _DeadUnits(Rule):
    about = ("units",)

    def __init__(self, pattern: str, share: float, severity: str) -> None:
        super().__init__("dead units", severity, pattern)
        if not 0 < share <= 1:
            raise ArgumentError(f"share must lie above 0 and be at most 1, not {share!r}")
        self.share = share
        self._dead: dict[str, set[int]] = {}

    def begin(self) -> None:
        self._dead.clear()

    def look(self, facts: Facts) -> Iterator[tuple[str | None, int | None, str]]:
        for layer in self.matching(facts.layers):
            if layer.zeros is not None:
                dead = np.flatnonzero(layer.zeros >= self.share).tolist()
                known = self._dead.setdefault(layer.name, set())
                new = [unit for unit in dead if unit not in known]
                known.update(new)
                if new:
                    what = (
                        "nothing but zeros"
                        if self.share == 1
                        else f"zeros in a share of {self.share:g} or more"
                    )
                    among = f"unit {new[0]} and {len(new) - 1} others" if len(new) > 1 else f"unit {new[0]}"
                    yield (
                        layer.name,
                        new[0],
                        f"{layer.name}: {len(dead)} of {len(layer.zeros)} units gave {what} for a whole batch, "
                        f"{among} for the first time",
                    )


def dead_units(pattern: str = "*", *, share: float = 1.0, severity: str = "warning") -> Rule:
    """A rule: no unit of these layers puts out zeros only, over a batch.

    share: which share of zeros counts as dead. It is looked at as often as the layers are looked at in full. What is
           told of a layer names the first unit that is newly dead.
    """
    return _DeadUnits(pattern, share, severity)


class _Spike(Rule):
    """Some number of each signal jumps above `factor` times the median of those before."""

    def __init__(
        self, name: str, severity: str, pattern: str | None, factor: float, window: int, warmup: int
    ) -> None:
        super().__init__(name, severity, pattern)
        if not factor > 1 or window < warmup or warmup < 1:
            raise ArgumentError(
                f"{name} needs a factor above 1 and a window from {warmup}, not {factor} and {window}"
            )
        self.factor, self.window, self.warmup = factor, window, warmup
        self._past: dict[str | None, deque[float]] = {}

    def begin(self) -> None:
        self._past.clear()

    def judge(self, key: str | None, value: float) -> float | None:
        """The median of the values before, if this one is far above it or no finite number; it joins them else."""
        past = self._past.setdefault(key, deque(maxlen=self.window))
        usual = median(past) if len(past) >= self.warmup else float("nan")
        if not np.isfinite(value) or value > self.factor * usual > 0:
            return usual
        past.append(value)
        return None


class _ExplodingGradient(_Spike):
    about = ("parameters",)

    def look(self, facts: Facts) -> Iterator[tuple[str | None, int | None, str]]:
        for parameter in self.matching(facts.parameters):
            g = parameter.gradient
            if g is None or g.count != g.count:
                continue
            value = g.norm if not g.nans + g.infs else float("inf")
            usual = self.judge(parameter.name, value)
            if usual is not None:
                yield (
                    parameter.name,
                    None,
                    f"the gradient of {parameter.name} has norm {value:.3g}, usual until now was {usual:.3g}",
                )


def exploding_gradient(
    pattern: str = "*", *, factor: float = 100.0, window: int = 100, severity: str = "warning"
) -> Rule:
    """A rule: no parameter's gradient norm is above `factor` times the median of the last `window` steps, or NaN."""
    return _ExplodingGradient("exploding gradient", severity, pattern, factor, window, 10)


class _LossSpike(_Spike):
    repeats = True  # each spike, in its first step
    _high = False

    def begin(self) -> None:
        super().begin()
        self._high = False

    def look(self, facts: Facts) -> Iterator[tuple[str | None, int | None, str]]:
        if facts.loss is not None:
            usual = self.judge(None, facts.loss)
            if usual is not None and not self._high:
                yield None, None, f"the loss is {facts.loss:.4g}, usual until now was {usual:.4g}"
            self._high = usual is not None


def loss_spike(*, factor: float = 3.0, window: int = 100, severity: str = "warning") -> Rule:
    """A rule: the loss is never above `factor` times the median of the last `window` steps, nor NaN."""
    return _LossSpike("loss spike", severity, None, factor, window, 10)


class _FrozenLayer(Rule):
    about = ("parameters",)

    def __init__(self, pattern: str, ratio: float, steps: int, severity: str) -> None:
        super().__init__("frozen layer", severity, pattern)
        self.ratio, self.steps = ratio, steps
        self._still: dict[str, int] = {}

    def begin(self) -> None:
        self._still.clear()

    def look(self, facts: Facts) -> Iterator[tuple[str | None, int | None, str]]:
        for parameter in self.matching(facts.parameters):
            w, change = parameter.weight, parameter.change
            if w is None or change is None:
                continue
            still = change.norm <= self.ratio * w.norm  # also where all is 0
            self._still[parameter.name] = self._still.get(parameter.name, 0) + 1 if still else 0
            if self._still[parameter.name] >= self.steps:
                yield (
                    parameter.name,
                    None,
                    f"{parameter.name} has hardly moved for {self.steps} steps: changes below {self.ratio:g} of its "
                    f"norm, now {change.norm:.2g} of {w.norm:.2g}",
                )


def frozen_layer(
    pattern: str = "*", *, ratio: float = 1e-6, steps: int = 20, severity: str = "warning"
) -> Rule:
    """A rule: no parameter changes by less than `ratio` of its norm for so many steps (that are looked at) in a row."""
    if steps < 1:
        raise ArgumentError(f"steps must be a whole number from 1, not {steps!r}")
    return _FrozenLayer(pattern, ratio, steps, severity)


def _told(signal: SignalFacts) -> str:
    if signal.weight is not None and signal.gradient is not None:
        return (
            f"update ratio {signal.update_ratio:.3g}, weight norm {signal.weight.norm:.3g}, "
            f"gradient norm {signal.gradient.norm:.3g}"
        )
    parts = [
        f"{kind} mean {n.mean:.3g}, std {n.std:.3g}"
        for kind in ("input", "output")
        if (n := getattr(signal, kind))
    ]
    return "; ".join(parts)
