"""Where NaN and infinity began: found in a trace afterwards, or stopped at by the detector of anomalies."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, observe
from minigrad.errors import ArgumentError, NonFiniteError
from minigrad.tracing import NonFinite


def found(trace, **options) -> NonFinite:
    result = trace.first_nonfinite(**options)
    assert result is not None
    return result


@pytest.mark.parametrize("level", ["stats", "full"])
def test_a_forward_that_makes_infinities(level):
    with mg.trace(level) as t:
        x = mg.exp(mg.ones(3)) - mg.exp(mg.ones(3))
        y = mg.log(x)  # THE LINE
        mg.relu(y * 0.0)
    what = found(t)
    assert what[:6] == (t["log_1"], "forward", "y", 0, 3, False)
    text = str(what)
    assert "the output y of log_1 (y = ln x)" in text
    assert "test_nonfinite.py" in text
    assert "# THE LINE" in text
    assert "all that it read is finite" in text
    assert found(t, infinity=False).record.name == "mul_1"


def test_an_overflow():
    with mg.trace() as t:
        mg.exp(mg.full((2, 2), 89.0)) * 0.0
    assert found(t)[:6] == (t["exp_1"], "forward", "y", 0, 4, False)


def test_all_is_finite():
    x = mg.ones(3, requires_grad=True)
    with mg.trace() as t:
        mg.exp(x).sum().backward()
        mg.arange(3) + 1
    assert t.first_nonfinite() is None
    with mg.trace() as empty:
        pass
    assert empty.first_nonfinite() is None


def test_without_values_nothing_is_known():
    with mg.trace("meta") as t:
        mg.exp(mg.ones(2))
    with pytest.raises(ArgumentError, match='"meta" holds no values'):
        t.first_nonfinite()


@pytest.mark.parametrize("names", [None, "exp"])
def test_inputs_that_came_with_it(names):
    with mg.trace(names=names) as t:
        mg.exp(mg.tensor([1.0, float("nan"), float("inf")]))
    what = found(t)
    assert what[:6] == (t[0], "forward", "x", 1, 1, True)
    assert "the input x of exp_1" in str(what)
    assert "came with 1 NaN and 1 infinite elements" in str(what)


def test_values_written_in_place_are_not_the_work_of_an_operation():
    with mg.trace() as t:
        x = mg.exp(mg.ones(3))
        x[1] = float("nan")
        mg.exp(x)
    assert found(t)[:6] == (t["exp_2"], "forward", "x", 1, 0, True)


def test_what_an_operation_that_the_filter_left_out_made():
    with mg.trace(names="exp") as t:
        mg.exp(mg.log(mg.tensor([-1.0])))
    assert found(t)[:6] == (t["exp_1"], "forward", "x", 1, 0, True)


def test_a_gradient_that_makes_infinities():
    x = mg.zeros(2, requires_grad=True)
    with mg.trace() as t:
        (mg.sqrt(x * 2.0) * 3.0).sum().backward()
    what = found(t)
    assert what[:6] == (t["sqrt_1"], "gradient", "x", 0, 2, False)
    assert "the gradient of sqrt_1" in str(what)
    assert "all gradients before it are finite" in str(what)


def test_a_leaf_whose_gradient_is_made_infinite():
    x = mg.zeros(2, requires_grad=True)
    with mg.trace() as t:
        mg.sqrt(x).sum().backward()
    assert found(t)[:6] == (t["sqrt_1"], "gradient", "x", 0, 2, False)


def test_a_gradient_that_goes_out_of_the_trace():
    x = mg.zeros(2, requires_grad=True)
    y = x * 1.0
    with mg.trace() as t:
        mg.sqrt(y).sum().backward()
    assert found(t)[:6] == (t["sqrt_1"], "gradient", "x", 0, 2, False)


def test_a_gradient_that_backward_was_given():
    x = mg.ones(2, requires_grad=True)
    with mg.trace() as t:
        (x * 2.0).backward(mg.tensor([1.0, float("nan")]))
    what = found(t)
    assert what[:6] == (t["mul_1"], "gradient", "y", 1, 0, True)
    assert "the gradient of the output y of mul_1" in str(what)


@pytest.mark.parametrize("level", ["stats", "full"])
def test_one_of_several_readers(level):
    """A sum of gradients is bad: the values tell whose fault it was, the statistics only who may have been."""
    x = mg.zeros(2, requires_grad=True)
    with mg.trace(level) as t:
        h = x * 2.0
        (mg.exp(h) + mg.sqrt(h) + mg.sin(h)).sum().backward()
    what = found(t)
    assert (what.phase, what.infs, what.given) == ("gradient", 2, False)
    names = {r.name for r in (what.record, *what.others)}
    if level == "full":
        assert names == {"sqrt_1"}
    else:
        assert names == {"exp_1", "sqrt_1", "sin_1"}
        assert " or of " in str(what)


def test_the_first_in_time_is_named_with_its_batch():
    """A gradient of batch 1 spoils the weights, and with them every value of batch 2."""
    net = nn.Linear(1, 1, bias=False)
    with mg.no_grad():
        net.weight.fill_(1.0)
    optimizer = mg.optim.SGD(net.parameters(), lr=0.1)
    with mg.trace() as t:
        for value in (2.0, 0.0, 2.0):
            optimizer.zero_grad()
            mg.sqrt(net(mg.full((1, 1), value))).sum().backward()
            optimizer.step()
    what = found(t)
    assert (what.record.name, what.phase, what.record.batch) == ("sqrt_2", "gradient", 1)
    assert "batch 1" in str(what)
    assert "linear_2" not in str(what)


def test_a_module_is_named():
    class Root(nn.Module):
        def forward(self, x):
            return mg.sqrt(x)

    net = nn.Sequential(nn.Identity(), Root())
    with mg.trace() as t:
        net(mg.full((1,), -1.0))
    assert " of 1, " in str(found(t))
    with mg.trace() as t:
        Root()(mg.full((1,), -1.0))
    assert "of the root module" in str(found(t))


def test_parts_of_composites_do_not_hide_it():
    layer = nn.Linear(1, 1)
    with mg.no_grad():
        layer.weight.fill_(3e38)
    with mg.trace(expand=True) as t:
        nn.functional.linear_act(mg.full((1, 1), 10.0), layer)
    assert found(t).record.name == "linear_act_1"


# ---------------------------------------------------------------- stopping there


def test_it_stops_in_the_forward():
    ran = []
    with (
        pytest.raises(
            NonFiniteError, match=r"2 elements of the result of log \(y = ln x\) .*# STOP"
        ) as error,
        mg.detect_anomaly(),
    ):
        ran.append(mg.log(mg.zeros(2)))  # STOP
    assert ran == []
    assert "all that it was given is finite" in str(error.value)
    assert observe.observers == ()


def test_it_stops_in_the_backward_and_names_the_forwards_line():
    x = mg.zeros(2, requires_grad=True)
    with mg.detect_anomaly():
        y = mg.sqrt(x)  # FORWARD
        loss = y.sum()
        with pytest.raises(NonFiniteError, match=r"2 elements of the gradient of sqrt .*# FORWARD"):
            loss.backward()


def test_it_stops_in_the_batch():
    net = nn.Sequential(nn.Linear(1, 1, bias=False))
    with mg.no_grad():
        net[0].weight.fill_(1.0)
    loss, target = nn.MSELoss(), mg.zeros(1, 1)  # a module too, but no batch of its own
    with mg.detect_anomaly():
        for value in (4.0, 1.0):
            loss(mg.sqrt(net(mg.full((1, 1), value))), target).backward()
        last = mg.sqrt(net(mg.full((1, 1), 0.0))).sum()
        with pytest.raises(NonFiniteError, match=r"gradient of sqrt .*; batch 2 since"):
            last.backward()


def test_it_remembers_no_more_lines_than_it_needs(monkeypatch):
    from minigrad.tracing import nonfinite

    monkeypatch.setattr(nonfinite, "_REMEMBERED", 10)
    x, detector = mg.ones(1, requires_grad=True), nonfinite._Detector(True)
    with observe.observe(detector):
        for _ in range(100):
            mg.exp(x).backward()
    assert len(detector.lines) == 10


def test_it_names_the_module():
    net = nn.Sequential(nn.Linear(1, 1, bias=False))
    with mg.no_grad():
        net[0].weight.fill_(3e38)
    with pytest.raises(NonFiniteError, match=r"of linear \(.*\) of 0 are"), mg.detect_anomaly():
        net(mg.full((1, 1), 10.0))


def test_what_was_given_passes():
    with mg.detect_anomaly():
        mg.exp(mg.tensor([float("nan"), float("inf")]))
        mg.ones(2, dtype=mg.int64) + 1
        x = mg.ones(2, requires_grad=True)
        (x * 2.0).backward(mg.tensor([1.0, float("nan")]))
    assert np.isnan(x.grad.numpy()[1])


def test_infinities_may_be_meant():
    scores, mask = mg.zeros(1, 3, requires_grad=True), mg.tensor([[True, False, False]])
    with mg.detect_anomaly(infinity=False):
        mg.softmax(scores.masked_fill(mask, -float("inf")), 1).sum().backward()
        with pytest.raises(NonFiniteError, match="are NaN, while"):
            mg.full((1,), float("inf")) * 0.0 + mg.log(mg.tensor([-1.0]))
    with pytest.raises(NonFiniteError), mg.detect_anomaly():
        scores.masked_fill(mask, -float("inf"))


def test_half_precision_overflows_when_it_is_rounded():
    """float32 holds the square of 300, float16 does not: the result that is handed on is looked at."""
    x = mg.full((2,), 300.0, dtype=mg.float16)
    with pytest.raises(NonFiniteError, match="2 elements of the result of mul"), mg.detect_anomaly():
        x * x
    with mg.trace() as t:
        x * x
    assert found(t)[:6] == (t[0], "forward", "y", 0, 2, False)


def test_the_second_derivative_is_watched_too():
    x = mg.zeros(1, requires_grad=True)
    with mg.detect_anomaly():
        (g,) = mg.grad((x**1.5).sum(), [x], create_graph=True)
        with pytest.raises(NonFiniteError):
            g.sum().backward()


def test_a_trace_around_it_stays_in_order():
    x = mg.zeros(2, requires_grad=True)
    with mg.trace("full") as t:
        with pytest.raises(NonFiniteError), mg.detect_anomaly():
            mg.sqrt(x).sum().backward()
        mg.exp(x).sum().backward()
    assert t["exp_1"].gradient_seconds < 1
    assert t["exp_1"].inputs[0].gradient.mean == 1
