"""Every operation of the registry keeps every promise that `minigrad.testing` knows, and its examples run."""

from __future__ import annotations

import doctest
import itertools
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import op_table, testing
from minigrad.errors import MinigradError
from minigrad.op import REGISTRY, Operation

EXAMPLE_OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize("promise", testing.PROPERTIES)
@pytest.mark.parametrize("name", REGISTRY)
def test_the_operation_keeps_its_promise(name, promise):
    testing.PROPERTIES[promise](REGISTRY[name])


@pytest.mark.parametrize("name", [name for name, op in REGISTRY.items() if ">>>" in (op.__doc__ or "")])
def test_examples_in_docstrings(name):
    # doctest's own finder looks for functions and classes; an Operation is neither
    op = REGISTRY[name]
    module = sys.modules[op.__module__]
    example = doctest.DocTestParser().get_doctest(op.__doc__, dict(vars(module)), name, module.__file__, 0)
    report: list[str] = []
    doctest.DocTestRunner(optionflags=EXAMPLE_OPTIONS).run(example, out=report.append)
    assert not report, "".join(report)


# ---------------------------------------------------------------- the promises are not empty: each can be broken


def broken(
    promise: str, forward=lambda xp, x: x * x, gradient=lambda xp, gy, x: 2 * gy * x, **changes
) -> None:
    """Check one promise of y = x^2, changed somewhere."""
    about = {
        "formula": "y = x^2",
        "gradient_formula": "gx = 2 gy x",
        "source": "calculus",
        "samples": lambda draw: [draw.call(draw.normal(3, 2))],
    }
    op = Operation(forward, name="square_of_the_test", **(about | changes))
    op.__doc__ = forward.__doc__ = "The square."
    op.__module__ = "of_the_user"
    if gradient is not None:
        op.gradient(gradient)
    testing.PROPERTIES[promise](op)


@pytest.mark.parametrize("promise", testing.PROPERTIES)
def test_an_honest_operation_passes(promise):
    broken(promise)


def traced(x) -> bool:
    """Whether a gradient runs under create_graph."""
    return isinstance(x, mg.Tensor)


def detached(x):
    return x.detach() if traced(x) else x


def write(xp, x):
    return x if traced(x) else xp.multiply(x, 2, out=x)


COUNTER = itertools.count()
FAULTS = {
    "no samples": ("documented", {"samples": lambda draw: []}),
    "no source": ("documented", {"source": ""}),
    "a gradient_formula without a gradient": ("documented", {"gradient": None}),
    "a gradient without a gradient_formula": ("documented", {"gradient_formula": ""}),
    "flops that are no number": ("flops_are_counted", {"flops": float("nan")}),
    "a factor lost": ("first_derivative", {"gradient": lambda xp, gy, x: gy * x}),
    "modes that differ": (
        "first_derivative",
        {"gradient": lambda xp, gy, x: gy * x * (2.001 if traced(x) else 2)},
    ),
    "a gradient without a sample": (
        "first_derivative",
        {"samples": lambda draw: [draw.call(draw.integers(0, 3, 2))]},
    ),
    "a constant too many": ("second_derivative", {"gradient": lambda xp, gy, x: 2 * gy * detached(x)}),
    "an input overwritten": ("inputs_stay", {"forward": lambda xp, x: xp.multiply(x, x, out=x)}),
    "an output overwritten": ("inputs_stay", {"gradient": lambda xp, gy, y: write(xp, y)}),
    "gy overwritten": ("inputs_stay", {"gradient": lambda xp, gy, x: write(xp, gy)}),
    "another result each time": ("replays", {"forward": lambda xp, x: x * x + next(COUNTER)}),
    "a secret view": ("views_are_declared", {"forward": lambda xp, x: x[1:]}),
    "float64 for all": ("float32_stays_float32", {"forward": lambda xp, x: x.astype("float64") ** 2}),
    "less accurate in float32": (
        "float32_stays_float32",
        {"forward": lambda xp, x: x * x * (1.01 if x.dtype == np.float32 else 1)},
    ),
    "a float32 gradient that differs": (
        "float32_stays_float32",
        {"gradient": lambda xp, gy, x: gy * x * (2.1 if x.dtype == np.float32 else 2)},
    ),
    "strides ignored": (
        "layout_does_not_matter",
        {"forward": lambda xp, x: x * x * (1 if x.flags.c_contiguous else 2)},
    ),
    "a traceback": ("integers_are_taken_or_refused", {"forward": lambda xp, x: x * {"f": x}[x.dtype.kind]}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_promise_is_seen(fault):
    promise, changes = FAULTS[fault]
    with pytest.raises(testing.OperationError):
        broken(promise, **changes)


def product(gradient, **changes) -> Operation:
    """y = a b, changed somewhere."""
    about = {"formula": "y = a b", "gradient_formula": "ga = gy b, gb = gy a", "source": "calculus"}
    samples = {"samples": lambda draw: [draw.call(draw.normal(3), draw.normal(3))]}
    op = Operation(lambda xp, a, b: a * b, name="product_of_the_test", **(about | samples | changes))
    op.gradient(gradient)
    return op


def test_a_gradient_that_depends_on_the_company_is_seen():
    def gradient(xp, gy, a, b, needs):
        return gy * b if needs[0] else None, gy * a if all(needs) else gy * b

    with pytest.raises(testing.OperationError, match="input 1 differs when it is wanted alone"):
        testing.PROPERTIES["gradients_on_their_own"](product(gradient))


def test_half_precision_that_is_not_widened_is_seen():
    op = product(lambda xp, gy, a, b: (gy * b, gy * a), promoted=())
    op.forward = lambda xp, a, b: (a * b) * (a + b)
    with pytest.raises(testing.OperationError, match="do not give the float32 result rounded once"):
        testing.PROPERTIES["half_precision_is_rounded_once"](op)


def test_check_operation_lists_all_that_is_wrong():
    about = {"formula": "", "source": "", "samples": lambda draw: [draw.call(draw.normal(2))]}
    op = Operation(lambda xp, x: x * x, name="undocumented", **about)
    op.gradient(lambda xp, gy, x: gy * x)
    with pytest.raises(
        testing.OperationError, match=r"(?s)undocumented breaks.*documented:.*first_derivative:.*wrong"
    ):
        testing.check_operation(op)
    testing.check_operation("add")
    with pytest.raises(MinigradError, match="no operation is named 'ad'"):
        testing.check_operation("ad")


# ---------------------------------------------------------------- the table


def test_the_table_has_a_row_for_each_operation():
    lines = op_table.documentation_table().splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == len(REGISTRY) + 2
    assert [row.split(" | ")[0][2:] for row in rows[2:]] == sorted(REGISTRY)
    columns = {row.replace(r"\|", "").count("|") for row in rows}
    assert columns == {len(op_table.COLUMNS) + 1}  # no cell's own bar splits a row


def test_the_command_prints_the_rows_asked_for(capsys):
    assert op_table.main(["mul", "add"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| add", "| mul"]
    with pytest.raises(SystemExit):
        op_table.main(["ad"])
    assert "no operation is named ad" in capsys.readouterr().err
