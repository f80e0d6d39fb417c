"""Is the gradient of a function what difference quotients say it is?

For a function f at a point x, with J = df/dx, a direction u in its domain and a direction v in its range,

    <J^T v, u>  =  <v, J u>  =  d/dt <v, f(x + t u)>  at t = 0.

The left side is one backward pass; the right needs nothing but values of f. A wrong gradient makes them differ
for almost every u and v, so two random directions judge a Jacobian of any size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad.errors import ArgumentError, NonFiniteError
from minigrad.tensor import Tensor
from minigrad.testing.checked import Checked, GradcheckError, floating_outputs, gradients_or_zeros
from minigrad.testing.quotients import close, random_direction, slope

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

# Steps tried, relative to eps: a kink beside the point is out of the way of a shorter one
_SHRINK = (1, 0.1, 0.01)
_MOVES = 4  # how often a point that stands on a kink is moved before the check gives up
_MOVE = 100  # how far, relative to eps
_NAMED_ELEMENTS = 100  # up to this many elements, the message names the one that is most wrong


class _Settings(NamedTuple):
    eps: float
    atol: float
    rtol: float
    directions: int
    seed: int

    def refuse_nonsense(self) -> None:
        if not (self.eps > 0 and self.atol >= 0 and self.rtol >= 0 and self.directions >= 1):
            raise ArgumentError(
                f"eps and directions must be positive, atol and rtol not negative; got {self}"
            )


def gradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-4,
    atol: float = 1e-9,
    rtol: float = 1e-7,
    directions: int = 2,
    seed: int = 0,
    raise_exception: bool = True,
) -> bool:
    """Check the gradient of `fn` with respect to each input that requires grad.

        <grad, u>  =  d/dt <v, fn(x + t u)>   for random u and v

    The derivative on the right is the central difference quotient at two steps, extrapolated (Richardson); its
    error is of order eps^4. The gradient is also computed a second time with `create_graph=True`, where the
    same text runs on traced tensors, and the two must agree.

    fn:              function of tensors that returns a tensor, or several; outputs that are not floating point
                     are ignored. It must give the same values for the same inputs (`mg.manual_seed` inside it,
                     if it draws random numbers).
    inputs:          a tensor, or a sequence of what `fn` takes. Those that require grad are checked, one at a
                     time; they must be float64.
    eps:             step of the difference quotient, before it is multiplied by u, whose components lie between
                     0.5 and 1 in size.
    atol, rtol:      the two sides may differ by atol + rtol * (sum of the magnitudes of the terms of either side).
    directions:      random directions per input.
    seed:            of the random directions.
    raise_exception: False returns False where the gradient is wrong, instead of raising.

    Returns True if the gradients are right.

    Kinks: where the slopes on both sides of the point differ, even for the smallest step, no difference
    quotient can judge a gradient. This is seen from values of `fn` alone, so a wrong gradient cannot pass for a
    kink. The point is then moved by about 100 eps, up to four times, and its gradient checked there; if there
    is a kink everywhere, that is an error.

    Raises GradcheckError, naming the input and both numbers, where the gradient is wrong, where the two modes
    disagree, where `fn` is not repeatable or changes its inputs, and where all tried points are kinks;
    DtypeError for inputs or outputs of less than double precision; ArgumentError if no input requires grad.

    Source: the dot-product test of adjoints, Claerbout 1992, "Earth Soundings Analysis", chapter 5;
    extrapolation: Richardson 1911, Phil. Trans. R. Soc. A 210, 307.

    >>> import minigrad as mg
    >>> x = mg.tensor([0.5, -1.0, 2.0], dtype="float64", requires_grad=True)
    >>> gradcheck(lambda x: x * x * x, x)
    True

    An operation of your own is checked like any function; this one lacks a factor:

    >>> from minigrad.op import Operation
    >>> about = dict(name="cube", formula="y = x^3", source="calculus", samples=lambda draw: [])
    >>> cube = Operation(lambda xp, x: x * x * x, **about)
    >>> _ = cube.gradient(lambda xp, gy, x: gy * x * x)
    >>> gradcheck(cube, x)
    Traceback (most recent call last):
    ...
    minigrad.testing.checked.GradcheckError: the gradient with respect to input 0 (float64[3]) is wrong: ...
    ... most at element (2,): 3.08... instead of 9.24...
    """
    settings = _Settings(eps, atol, rtol, directions, seed)
    return _verdict(Checked(fn, inputs), settings, raise_exception, both_modes=True)


def gradgradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-4,
    atol: float = 1e-9,
    rtol: float = 1e-7,
    directions: int = 2,
    seed: int = 0,
    raise_exception: bool = True,
) -> bool:
    """Check the second derivatives of `fn`: the gradient of its gradient.

    The function checked, as `gradcheck` checks one, is

        (x, gy)  ->  J(x)^T gy,    J = dfn/dx

    with random gy: its gradient with respect to x is a product with the second derivative, that with respect to
    gy is J itself. Arguments, result, kinks and errors are those of `gradcheck`. An intermediate value that is
    treated as a constant shows here, and not in the first derivative.

    >>> import minigrad as mg
    >>> x = mg.tensor([[0.5, -1.0], [2.0, 0.1]], dtype="float64", requires_grad=True)
    >>> gradgradcheck(lambda x: mg.exp(x @ x), x)
    True
    """
    settings = _Settings(eps, atol, rtol, directions, seed)
    checked = Checked(fn, inputs)
    rng, n = np.random.default_rng(seed), len(checked.inputs)
    ys = checked.call(checked.leaves(checked.point))
    gys = [Tensor(random_direction(rng, y.shape), device=y.backend, requires_grad=True) for y in ys]

    def gradient_of_fn(*arguments: Any) -> tuple[Tensor, ...]:
        xs = [arguments[i] for i in checked.indices]
        return gradients_or_zeros(floating_outputs(fn(*arguments[:n])), xs, arguments[n:], create_graph=True)

    names = checked.names | {n + j: f"gy (what arrives at output {j})" for j in range(len(gys))}
    second = Checked(
        gradient_of_fn, [*checked.inputs, *gys], names, "the second derivative: the gradient of the gradient"
    )
    return _verdict(second, settings, raise_exception, both_modes=False)


def _verdict(checked: Checked, settings: _Settings, raise_exception: bool, both_modes: bool) -> bool:
    settings.refuse_nonsense()
    rng = np.random.default_rng(settings.seed)
    try:
        first, second = checked.values(checked.point), checked.values(checked.point)
        if any(a.tobytes() != b.tobytes() for a, b in zip(first, second, strict=True)):
            raise GradcheckError(
                "the function gives different values for the same inputs; if it draws random numbers, call "
                "mg.manual_seed inside it"
            )
        if both_modes:
            _check_modes_agree(checked, [random_direction(rng, y.shape) for y in first])
        for k in range(len(checked.indices)):
            for _ in range(settings.directions):
                _check_direction(checked, k, rng, settings)
    except (GradcheckError, NonFiniteError):
        if raise_exception:
            raise
        return False
    return True


def _check_modes_agree(checked: Checked, v: list[np.ndarray]) -> None:
    """A gradient is one text that runs on arrays and, under create_graph, on tensors: both must give the same."""
    plain, traced = (checked.gradients(checked.point, v, create_graph) for create_graph in (False, True))
    for k, (a, b) in enumerate(zip(plain, traced, strict=True)):
        if not close(b, a, 1e-11):
            at = np.unravel_index(np.argmax(np.nan_to_num(np.abs(a - b), nan=np.inf)), a.shape)
            raise GradcheckError(
                f"{checked.describe(k)} depends on the mode: at element {_index(at)} it is {a[at]:.9g}, "
                f"and {b[at]:.9g} with create_graph=True"
            )


def _check_direction(checked: Checked, k: int, rng: np.random.Generator, settings: _Settings) -> None:
    """Check one input along one random direction; the point is moved while it stands on a kink."""
    origin = checked.point[k]
    for move in range(_MOVES + 1):
        distance = _MOVE * settings.eps * np.maximum(1, np.abs(origin)) if move else 0
        x = origin + distance * random_direction(rng, origin.shape)
        u = random_direction(rng, origin.shape)
        v = [random_direction(rng, y.shape) for y in checked.values(checked.moved(k, x))]
        gradient = checked.gradients(checked.moved(k, x), v, create_graph=False)[k]
        analytic, terms = float((gradient * u).sum()), float(np.abs(gradient * u).sum())
        for shrink in _SHRINK:
            found = slope(checked.along(k, x, u), v, settings.eps * shrink)
            allowed = settings.atol + settings.rtol * max(found.scale, terms if np.isfinite(terms) else 0)
            if not found.doubt <= allowed / 2:
                continue
            if abs(analytic - found.value) <= allowed:
                return
            raise GradcheckError(
                f"{checked.describe(k)} is wrong: along a random direction it gives {analytic:.9g}, the "
                f"difference quotient {found.value:.9g} (they may differ by {allowed:.2g})"
                + _worst_element(checked, k, x, v, gradient, settings.eps)
            )
    if not np.isfinite(found.doubt):
        raise NonFiniteError(f"{checked.describe(k)} cannot be checked: the function is not finite there")
    left, right = found.one_sided
    raise GradcheckError(
        f"{checked.describe(k)} cannot be checked: at the point and at {_MOVES} points beside it the slopes on "
        f"both sides differ (at the last {left:.9g} and {right:.9g}). Either there is a kink or a jump "
        "everywhere, or the function computes in less than double precision"
    )


def _worst_element(
    checked: Checked, k: int, x: np.ndarray, v: list[np.ndarray], gradient: np.ndarray, eps: float
) -> str:
    """Which element of a small wrong gradient is most wrong, for the message."""
    if x.size > _NAMED_ELEMENTS:
        return ""
    axes = np.eye(x.size).reshape((x.size, *x.shape))
    quotients = np.array([slope(checked.along(k, x, axis), v, eps).value for axis in axes]).reshape(x.shape)
    worst = np.unravel_index(np.argmax(np.nan_to_num(np.abs(gradient - quotients), nan=np.inf)), x.shape)
    return f"; most at element {_index(worst)}: {gradient[worst]:.9g} instead of {quotients[worst]:.9g}"


def _index(position: tuple) -> str:
    return str(tuple(int(i) for i in position))
