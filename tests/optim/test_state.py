"""An optimiser's state survives JSON and arrays, and training goes on from it bit for bit."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import StateError
from minigrad.optim import SGD, Adam, AdamW
from tests.optim.cases import OPTIMIZERS, ident


def _through_files(state):
    """The state as a checkpoint would hold it: numbers in JSON, arrays in a file of arrays."""
    arrays = {
        f"{number}.{name}": value
        for number, remembered in state["state"].items()
        for name, value in remembered.items()
        if isinstance(value, np.ndarray)
    }
    numbers = {
        number: {name: value for name, value in remembered.items() if not isinstance(value, np.ndarray)}
        for number, remembered in state["state"].items()
    }
    file = io.BytesIO()
    np.savez(file, **arrays)
    text = json.dumps({"state": numbers, "param_groups": state["param_groups"]}, allow_nan=False)
    back = json.loads(text)
    file.seek(0)
    for key, array in np.load(file).items():
        number, name = key.split(".")
        back["state"][number][name] = array
    return back


def _train(name, options, steps, start, saved=None):
    weights = [mg.tensor(s, requires_grad=True) for s in (start if saved is None else saved[0])]
    optimizer = getattr(mg.optim, name)(
        [{"params": weights[:1], "lr": 0.03}, {"params": weights[1:]}], **options
    )
    if saved is not None:
        optimizer.load_state_dict(saved[1])
    for _ in range(steps):
        optimizer.zero_grad()
        sum((w**4).sum() for w in weights[:2]).backward()  # the third never has a gradient
        optimizer.step()
    return [w.detach().numpy().copy() for w in weights], optimizer.state_dict()


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=ident)
def test_training_goes_on_bit_for_bit(rng, name, options):
    start = [rng.standard_normal((2, 3)), rng.standard_normal(()), rng.standard_normal(2)]
    through, expected = _train(name, options, 7, start)
    weights, state = _train(name, options, 4, start)
    resumed, found = _train(name, options, 3, start, (weights, _through_files(state)))
    assert all(np.array_equal(a, b) for a, b in zip(resumed, through, strict=True))
    assert json.dumps(_plain(found)) == json.dumps(_plain(expected))


def _plain(state):
    return {
        "groups": state["param_groups"],
        "state": {
            n: {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in s.items()}
            for n, s in state["state"].items()
        },
    }


def _trained(kind=Adam, **options):
    w = mg.ones(2, requires_grad=True)
    optimizer = kind([w], **options)
    w.sum().backward()
    optimizer.step()
    return optimizer


def test_a_loaded_state_is_a_copy():
    optimizer = _trained()
    state = optimizer.state_dict()
    other = Adam([mg.ones(2, requires_grad=True)])
    other.load_state_dict(state)
    state["state"][0]["exp_avg"][...] = 7
    state["param_groups"][0]["lr"] = 7
    assert other.state_dict()["state"][0]["exp_avg"].tolist() == pytest.approx([0.1, 0.1])
    assert other.param_groups[0]["lr"] == 1e-3


def test_tensors_and_arrays_of_one_number_are_understood():
    """As a file of tensors gives them back."""
    state = _trained(lr=0.5).state_dict()
    state["state"] = {"0": {name: mg.tensor(np.asarray(value)) for name, value in state["state"][0].items()}}
    other = Adam([mg.ones(2, requires_grad=True)])
    other.load_state_dict(state)
    remembered = other.state_dict()["state"][0]
    assert (remembered["step"], type(remembered["step"])) == (1, int)
    assert remembered["exp_avg"].tolist() == pytest.approx([0.1, 0.1])


def _changed(change):
    state = _trained().state_dict()
    change(state)
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (lambda: {"state": {}}, '"param_groups"'),
        (lambda: [1], '"param_groups"'),
        (
            lambda: SGD([mg.ones(2, requires_grad=True), mg.ones(1, requires_grad=True)]).state_dict(),
            r"groups of \[2\]",
        ),
        (lambda: _trained(SGD, momentum=0.9).state_dict(), "has an option .*momentum.* of another optimiser"),
        (lambda: _changed(lambda s: s["state"][0].update(momentum_buffer=np.ones(2))), "does not remember"),
        (
            lambda: _changed(lambda s: s["state"][0].update(exp_avg=np.ones(3))),
            r"shape \[2\], not of shape \[3\]",
        ),
        (
            lambda: _changed(lambda s: s["state"][0].update(exp_avg=1.0)),
            r"an array of shape \[2\], not float",
        ),
        (
            lambda: _changed(lambda s: s["state"][0].update(step="one")),
            "step of parameter 0 must be a number",
        ),
        (lambda: _changed(lambda s: s["state"][0].pop("exp_avg_sq")), "lacks exp_avg_sq"),
        (lambda: _changed(lambda s: s["state"].update({1: {}})), "a parameter 1; the optimiser has 1"),
        (lambda: _changed(lambda s: s["state"].update({"weight": {}})), "a parameter 'weight'"),
        (lambda: _changed(lambda s: s["param_groups"][0].update(lr=-1)), "out of range: lr"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(state, message):
    optimizer = _trained(AdamW, lr=0.25) if message.startswith("groups") else _trained(lr=0.25)
    before = _plain(optimizer.state_dict())
    with pytest.raises(StateError, match=message):
        optimizer.load_state_dict(state())
    assert _plain(optimizer.state_dict()) == before
