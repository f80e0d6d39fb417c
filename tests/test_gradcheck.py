"""The gradient check itself: what it passes, what it finds, and what it says about kinks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import ArgumentError, DtypeError, GraphError, MinigradError, NonFiniteError
from minigrad.op import Operation
from minigrad.testing import GradcheckError, gradcheck, gradgradcheck
from minigrad.testing.quotients import slope


def leaf(*values: float) -> mg.Tensor:
    return mg.tensor(values, dtype="float64", requires_grad=True)


def normal(*shape: int, seed: int = 0) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


def made(forward, gradient, **about) -> Operation:
    """An operation outside the registry."""
    about = {"name": "made", "formula": "", "source": "", "samples": lambda draw: []} | about
    op = Operation(forward, **about)
    op.gradient(gradient)
    return op


def rectifier(factor: float = 1) -> Operation:
    return made(lambda xp, x: xp.maximum(x, 0), lambda xp, gy, x: xp.where(x > 0, factor * gy, 0 * gy))


# ---------------------------------------------------------------- what is right


FUNCTIONS = {
    "a product": (lambda a, b: a @ b, [normal(3, 4), normal(4, 2)]),
    "broadcasting": (lambda a, b: mg.exp(a) / (1 + b * b), [normal(2, 1, 3), normal(4, 1)]),
    "several outputs": (lambda a: (a * a, mg.exp(a).sum(), mg.ones(2, dtype="float64")), [normal(2, 3)]),
    "an integer output": (lambda a: (a * a * a, a.argmax()), [normal(4)]),
    "an unused input": (lambda a, b: a * a, [normal(3), normal(2)]),
    "a constant": (lambda a: a.detach() * 0 + 2, [normal(3)]),
    "a 0-dimensional input": (lambda a: mg.exp(a) * a, [normal()]),
    "an empty input": (lambda a: (a * a).sum(), [normal(0, 3)]),
    "a repeated input": (lambda a: a * a + a, [normal(3)]),
    "numbers, None and integers": (
        lambda a, n, none, i: a[i] ** n,
        [normal(3, 2), 3, None, mg.tensor([2, 0])],
    ),
    "large values": (lambda a: a * a * a, [mg.tensor([1e4, -3e4], dtype="float64", requires_grad=True)]),
    "small slopes": (lambda a: 1e-6 * mg.exp(a), [normal(3)]),
    "high curvature": (lambda a: 1 / a, [leaf(0.01, -0.003)]),
    "random, but repeatable": (
        lambda a: (mg.manual_seed(0), a * mg.rand(3, dtype="float64"))[1],
        [normal(3)],
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_right_gradients_pass(name):
    fn, inputs = FUNCTIONS[name]
    assert gradcheck(fn, inputs)
    assert gradgradcheck(fn, inputs)


@given(st.lists(st.integers(0, 3), max_size=3), st.integers(0, 100))
def test_right_gradients_pass_for_any_shape(shape, seed):
    assert gradcheck(lambda x: mg.exp(x) * x, normal(*shape, seed=seed), seed=seed)


def test_a_non_contiguous_input_passes():
    x = mg.from_numpy(np.arange(24.0).reshape(4, 6)[::2, ::-3] / 10).requires_grad_()
    assert gradcheck(lambda x: x.T @ x, x)


def test_nothing_is_left_behind():
    x, y = normal(3), normal(3)
    before = x.numpy().copy()
    gradcheck(lambda x, y: x * y, (x, y))
    gradgradcheck(lambda x, y: x * y, (x, y))
    assert x.grad is None
    assert y.grad is None
    assert x.is_leaf
    assert x.numpy().tobytes() == before.tobytes()


# ---------------------------------------------------------------- what is wrong


def test_the_message_names_the_input_and_both_numbers():
    twice = made(lambda xp, a, b: a * b, lambda xp, gy, a, b: (gy * b, 2 * gy * a))
    with pytest.raises(GradcheckError) as caught:
        gradcheck(twice, (leaf(1, 2), leaf(3, 5)))
    message = str(caught.value)
    assert "the gradient with respect to input 1 (float64[2]) is wrong" in message
    right, wrong = (
        float(text.split()[0].rstrip(",")) for text in message.split("gives ")[1].split("quotient ")
    )
    assert wrong == pytest.approx(right / 2) or right == pytest.approx(2 * wrong)
    assert gradcheck(
        twice, (leaf(1, 2), mg.tensor([3.0, 5.0], dtype="float64"))
    )  # the first input's is right


def test_the_message_names_the_worst_element():
    def gradient(xp, gy, x):
        return gy * (2 * x + xp.asarray(np.array([[0, 0, 0], [0, 1e-3, 0]])))

    with pytest.raises(GradcheckError, match=r"most at element \(1, 1\)"):
        gradcheck(made(lambda xp, x: x * x, gradient), normal(2, 3))


@pytest.mark.parametrize("size", [1, 30, 1000])
@pytest.mark.parametrize("error", [1, 1e-2, -1e-3])
def test_one_wrong_element_is_enough(size, error):
    spoilt = np.zeros(size)
    spoilt[size // 2] = error
    op = made(lambda xp, x: x * x, lambda xp, gy, x: gy * (2 * x + xp.asarray(spoilt)))
    assert not gradcheck(op, normal(size), raise_exception=False)


def test_nan_is_wrong():
    op = made(lambda xp, x: x * x, lambda xp, gy, x: gy * x * float("nan"))
    with pytest.raises(GradcheckError, match="nan"):
        gradcheck(op, leaf(1, 2))


def test_a_detached_intermediate_shows_in_the_first_derivative_of_a_function():
    with pytest.raises(GradcheckError, match="is wrong"):
        gradcheck(lambda x: x * x.detach(), leaf(1, 2))


def constant(x):
    """As a gradient would use a saved intermediate: the same value, without a derivative."""
    return x.detach() if isinstance(x, mg.Tensor) else x


def test_a_detached_intermediate_in_a_gradient_shows_in_the_second_derivative():
    op = made(lambda xp, x: x * x, lambda xp, gy, x: 2 * gy * constant(x))
    assert gradcheck(op, leaf(1, 2))
    with pytest.raises(GradcheckError, match=r"second derivative.*with respect to input 0"):
        gradgradcheck(op, leaf(1, 2))


def test_a_detached_gy_shows_in_the_second_derivative():
    op = made(lambda xp, x: x * x, lambda xp, gy, x: 2 * constant(gy) * x)
    assert gradcheck(op, leaf(1, 2))
    with pytest.raises(GradcheckError, match=r"with respect to gy \(what arrives at output 0\)"):
        gradgradcheck(op, leaf(1, 2))


def test_modes_that_disagree_are_told_apart():
    op = made(lambda xp, x: x * x, lambda xp, gy, x: gy * x * (2.001 if isinstance(x, mg.Tensor) else 2))
    with pytest.raises(
        GradcheckError, match=r"input 0 \(float64\[2\]\) depends on the mode: .* with create_graph=True"
    ):
        gradcheck(op, leaf(1, 2))


def test_a_function_that_writes_to_its_input_is_refused():
    def writes(x):
        y = x * x
        with mg.no_grad():
            x.add_(1)
        return y

    with pytest.raises((GradcheckError, GraphError), match="in place"):
        gradcheck(writes, leaf(1, 2))


def test_a_function_that_varies_is_refused():
    with pytest.raises(GradcheckError, match=r"different values for the same inputs.*manual_seed"):
        gradcheck(lambda x: x * mg.rand(2, dtype="float64"), leaf(1, 2))


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_false_instead_of_an_exception(check):
    op = made(lambda xp, x: x * x, lambda xp, gy, x: gy * x * x)
    assert check(lambda x: x * x, leaf(1, 2), raise_exception=False) is True
    if check is gradcheck:
        assert check(op, leaf(1, 2), raise_exception=False) is False


# ---------------------------------------------------------------- kinks


ON_AND_BESIDE = [0, 1, -1, 0, 3e-6, 2e-5, -1e-4, 5e-5]


def test_on_a_kink_the_point_is_moved():
    assert gradcheck(rectifier(), leaf(0, 0, 0))
    assert gradgradcheck(rectifier(), leaf(0, 0, 0))


@pytest.mark.parametrize("slope_at_the_kink", [0, 0.5, 1, 7])
def test_what_a_gradient_is_on_a_kink_is_a_convention(slope_at_the_kink):
    def gradient(xp, gy, x):
        return xp.where(x == 0, slope_at_the_kink * gy, xp.where(x > 0, gy, 0 * gy))

    assert gradcheck(made(lambda xp, x: xp.maximum(x, 0), gradient), leaf(0, 1, -1, 0))


def test_beside_a_kink_the_step_is_shortened():
    assert gradcheck(rectifier(), leaf(*ON_AND_BESIDE))
    assert gradcheck(rectifier(), leaf(1e-5, -1e-5))


@pytest.mark.parametrize("factor", [0.999, 1.001, 2, -1, 0])
@pytest.mark.parametrize("x", [[0, 0, 0], ON_AND_BESIDE, [1e-5, -1e-5], [1, 2]])
def test_a_wrong_gradient_is_not_mistaken_for_a_kink(factor, x):
    with pytest.raises(GradcheckError, match="is wrong"):
        gradcheck(rectifier(factor), leaf(*x))


def test_a_tie_is_a_kink():
    assert gradcheck(lambda a, b: mg.maximum(a, b), (leaf(1, 2, 3), leaf(1, 2, 4)))


def test_a_kink_in_the_gradient_only():
    parabola = made(
        lambda xp, x: xp.maximum(x, 0) * x, lambda xp, gy, x: xp.where(x > 0, 2 * x * gy, 0 * gy)
    )  # its slope is continuous at 0, its curvature jumps
    assert gradcheck(parabola, leaf(*ON_AND_BESIDE))
    assert gradgradcheck(parabola, leaf(*ON_AND_BESIDE))


def test_kinks_everywhere_are_said_to_be():
    rounded = made(lambda xp, x: xp.round(x * 1e7) / 1e7, lambda xp, gy: gy)
    with pytest.raises(
        GradcheckError, match=r"input 0 \(float64\[2\]\) cannot be checked.*slopes on both sides differ"
    ):
        gradcheck(rounded, leaf(1, 2))
    with pytest.raises(GradcheckError, match="less than double precision"):
        gradcheck(lambda x: mg.exp(x.float()).double(), leaf(1, 2))


def test_the_edge_of_the_domain_is_said_to_be():
    with pytest.raises(NonFiniteError, match=r"input 0.*not finite"):
        gradcheck(mg.sqrt, leaf(-1, 1))


def test_a_slope_and_its_doubt():
    def along(f):
        return slope(lambda t: [np.array(f(t))], [np.array(1.0)], 1e-4)

    smooth, kink, beside = along(lambda t: np.exp(2 * t)), along(abs), along(lambda t: abs(t - 3e-5))
    assert smooth.value == pytest.approx(2, abs=1e-10)
    assert smooth.doubt < 1e-7
    assert kink.doubt == pytest.approx(2)
    assert kink.one_sided == pytest.approx((-1, 1))
    assert beside.doubt > 0.1


# ---------------------------------------------------------------- what cannot be checked


@pytest.mark.parametrize(
    "fn, inputs, error, words",
    [
        (mg.exp, mg.ones(2), ArgumentError, "no input requires grad"),
        (mg.exp, [], ArgumentError, "no input requires grad"),
        (mg.exp, mg.ones(2, requires_grad=True), DtypeError, "input 0 is float32: .* float64"),
        (lambda x: x.float(), leaf(1), DtypeError, "returned float32"),
        (lambda x: x > 0, leaf(1), ArgumentError, "no floating-point tensor"),
    ],
)
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_misuse_is_an_error_and_not_a_verdict(check, fn, inputs, error, words):
    with pytest.raises(error, match=words):
        check(fn, inputs, raise_exception=False)


@pytest.mark.parametrize("option", [{"eps": 0}, {"eps": -1}, {"atol": -1}, {"rtol": -1}, {"directions": 0}])
def test_options_out_of_range(option):
    with pytest.raises(ArgumentError, match="must be positive"):
        gradcheck(mg.exp, leaf(1), **option)


def test_errors_of_the_function_come_through():
    with pytest.raises(MinigradError, match=r"\[2\]"):
        gradcheck(lambda x: x @ mg.ones(3, dtype="float64"), leaf(1, 2))
