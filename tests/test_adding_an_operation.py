"""The new operation that ARCHITECTURE.md shows is complete: written once, it is checked, observed and documented."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import minigrad as mg
from minigrad import observe, op_table
from minigrad.backend import ArrayNamespace
from minigrad.op import REGISTRY, Operation
from minigrad.testing import check_operation, gradcheck, gradgradcheck
from minigrad.testing.samples import all_samples

ARCHITECTURE = Path(__file__).resolve().parent.parent / "ARCHITECTURE.md"
MARKER = "<!-- new operation -->"


@pytest.fixture(scope="module")
def text() -> str:
    """The block of code after the marker."""
    blocks = re.findall(
        re.escape(MARKER) + r"\s*```python\n(.*?)```", ARCHITECTURE.read_text("utf-8"), re.DOTALL
    )
    assert len(blocks) == 1, (
        f"one block of python must follow {MARKER} in {ARCHITECTURE.name}; there are {len(blocks)}"
    )
    return blocks[0]


@pytest.fixture
def namespace(text):
    """The names that the block defines; its operation is taken out of the registry again."""
    before = set(REGISTRY)
    names: dict = {"__name__": "new_operation", "mg": mg}
    exec(compile("from __future__ import annotations\n" + text, ARCHITECTURE.name, "exec"), names)
    yield names
    for name in set(REGISTRY) - before:
        del REGISTRY[name]
        delattr(ArrayNamespace, name)


@pytest.fixture
def op(namespace) -> Operation:
    (found,) = {x.name: x for x in namespace.values() if isinstance(x, Operation)}.values()
    return found


@pytest.fixture
def inputs(op) -> list:
    """Those of its first sample, and a function that calls it with that sample's parameters."""
    sample = all_samples(op)[0]
    return [lambda *xs: op(*xs, **sample.params), sample.tensors()]


def test_it_takes_about_thirty_lines(text):
    assert 15 <= len([line for line in text.splitlines() if line.strip()]) <= 40


def test_it_is_registered_and_runs(op, inputs):
    assert REGISTRY[op.name] is op
    fn, xs = inputs
    assert fn(*xs).requires_grad


def test_its_first_and_second_derivatives_are_right(op, inputs):
    assert op.gradient_fn is not None
    assert gradcheck(*inputs)
    assert gradgradcheck(*inputs)


def test_it_keeps_every_promise(op):
    check_operation(op.name)


def test_an_observer_sees_its_forward_and_its_gradient(op, inputs):
    class Witness:
        def __init__(self):
            self.seen = []

        def before(self, call):
            self.seen.append((call.op.name, call.phase, len(call.outputs)))

        def after(self, call):
            self.seen.append((call.op.name, call.phase, len(call.outputs)))

    fn, xs = inputs
    with observe.observe(Witness()) as witness:
        y = fn(*xs)
        y.backward(mg.ones_like(y))
    assert [event for event in witness.seen if event[0] == op.name] == [
        (op.name, "forward", 0),
        (op.name, "forward", 1),
        (op.name, "gradient", 0),
        (op.name, "gradient", len(xs)),
    ]


def test_the_table_has_its_row(op):
    (row,) = [
        line for line in op_table.documentation_table().splitlines() if line.startswith(f"| {op.name} |")
    ]
    assert op.gradient_formula.replace("|", r"\|") in row
    assert op_table.documentation_row(op)["formula"] == op.formula


def test_it_works_in_float32(op, inputs):
    fn, xs = inputs
    narrow = [
        x.detach().float().requires_grad_() if isinstance(x, mg.Tensor) and x.requires_grad else x for x in xs
    ]
    y = fn(*narrow)
    assert y.dtype == mg.float32
    y.backward(mg.ones_like(y))
    assert all(x.grad.dtype == mg.float32 for x in narrow if isinstance(x, mg.Tensor) and x.requires_grad)


def test_a_gradient_may_use_it_by_name(op, inputs):
    """Both namespaces that a gradient's text runs over have it."""
    from minigrad.backend import default_backend
    from minigrad.ops.namespace import TracedNamespace

    backend = default_backend()
    assert getattr(TracedNamespace(backend), op.name) is op
    assert callable(getattr(backend.xp, op.name))


def test_its_examples_run(op, namespace):
    example = doctest.DocTestParser().get_doctest(op.__doc__ or "", namespace, op.name, ARCHITECTURE.name, 0)
    assert example.examples, "the docstring has no example"
    report: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(
        example, out=report.append
    )
    assert not report, "".join(report)


def test_it_is_gone_afterwards(text):
    name = re.search(r"^def (\w+)\(xp", text, re.MULTILINE)
    assert name is not None
    assert name[1] not in REGISTRY
    assert not hasattr(ArrayNamespace, name[1])
