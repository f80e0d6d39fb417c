"""What a recorder's configuration accepts, and what it means."""

from __future__ import annotations

import json

import pytest

from minigrad.errors import ArgumentError
from minigrad.record import RecorderConfiguration
from minigrad.record.configuration import due


def test_the_defaults_are_those_that_are_promised():
    c = RecorderConfiguration()
    assert (c.statistics_every, c.layers_every, c.units_every, c.full_every) == (1, 1, 10, 50)
    assert (c.snapshots, c.probe, c.influence) == ("epoch", "epoch", ("taylor",))
    assert c.agreement_units == 64
    assert c.budget is not None


def test_everything_is_each_step_and_takes_changes():
    c = RecorderConfiguration.everything(budget=None, units_every=3)
    assert (c.full_every, c.snapshots, c.probe, c.units_every, c.budget) == (1, 1, 1, 3, None)
    with pytest.raises(TypeError):
        RecorderConfiguration.everything(colour=1)


def test_it_stands_in_a_record_as_json():
    c = RecorderConfiguration(parameters="a.*", layers=(name for name in ("a", "b")), influence="snip")
    told = json.loads(json.dumps(c.as_dict()))
    assert (told["parameters"], told["layers"], told["influence"]) == (["a.*"], ["a", "b"], ["snip"])
    assert RecorderConfiguration(**told) == c


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"units_every": 0}, "units_every must be a whole number from 1, None, not 0"),
        ({"units_every": 2.0}, "units_every"),
        ({"full_every": True}, "full_every"),
        ({"full_every": "epoch"}, "full_every"),
        ({"snapshots": "step"}, "snapshots must be a whole number from 1, None or \"epoch\", not 'step'"),
        ({"graph": -1}, "graph"),
        ({"look": None}, "look must be a whole number from 1, not None"),
        ({"top": 0}, "top"),
        ({"budget": 0}, "budget"),
        ({"influence": ("taylor", "magic")}, "influence is by taylor, .*, not magic"),
    ],
)
def test_what_does_not_fit_is_an_error_at_once(wrong, says):
    with pytest.raises(ArgumentError, match=says):
        RecorderConfiguration(**wrong)


def test_patterns_are_those_of_a_shell():
    c = RecorderConfiguration(parameters=("layer?.*weight", "fc.bias"), layers=())
    assert [
        n
        for n in ("layer1.weight", "layer1.0.weight", "layer10.weight", "fc.weight", "fc.bias")
        if c.wants_parameter(n)
    ] == [
        "layer1.weight",
        "layer1.0.weight",
        "fc.bias",
    ]
    assert not c.wants_layer("fc")
    assert RecorderConfiguration().wants_layer("")


def test_a_cadence_has_the_first_step_and_every_so_many_th():
    assert [step for step in range(1, 31) if due(10, step)] == [1, 10, 20, 30]
    assert [step for step in range(1, 5) if due(1, step)] == [1, 2, 3, 4]
    assert not due(None, 1)
    assert not due("epoch", 1)
