"""Nested states come back from a file as they were, to the bit; what no file can hold is refused; damage is named."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg
from minigrad import dtypes
from minigrad.errors import DataError, DtypeError
from minigrad.train import load_state, save_state
from tests.train.kill_and_resume import difference
from tests.train.mangled_checkpoints import mangle


def round_trip(state, path):
    save_state(state, path / "state.safetensors")
    return load_state(path / "state.safetensors")


names = st.text(max_size=5).filter(lambda name: not name.startswith("$"))
numbers = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**200), 2**200), st.floats(), st.text(max_size=5)
)
arrays = hnp.arrays(
    st.sampled_from(["float32", "float64", "int64", "uint8", "bool"]),
    hnp.array_shapes(min_dims=0, min_side=0, max_side=3),
)
states = st.recursive(
    st.one_of(numbers, arrays, arrays.map(mg.tensor)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(names, states, max_size=4))
def test_any_state(tmp_path_factory, state):
    loaded = round_trip(state, tmp_path_factory.mktemp("state"))
    assert difference(state, loaded) == ""
    assert list(loaded) == list(state)


def test_strided_arrays_and_every_dtype(tmp_path, rng):
    """What the format's own library would write in the wrong order: transposed, reversed, channels-last views."""
    base = rng.integers(-9, 9, (2, 4, 5, 3))
    for dtype in dtypes.BY_NAME:
        array = base.astype(dtypes.as_dtype(dtype))
        state = {
            "channels last": array.transpose(0, 3, 1, 2),
            "deep": [
                {"reversed": array[::-1, :, ::-2], "rows": array[0, 0].T},
                mg.tensor(array).permute(3, 2, 1, 0),
            ],
            "broadcast": np.broadcast_to(array[:1], array.shape),
        }
        assert difference(state, round_trip(state, tmp_path)) == ""


def test_kinds_are_kept(tmp_path):
    state = {
        "t": mg.ones(2),
        "a": np.ones(2),
        "i": 1,
        "f": 1.0,
        "b": True,
        "s": "1",
        "n": None,
        "big": 2**127,
    }
    loaded = round_trip(state, tmp_path)
    assert {name: type(value) for name, value in loaded.items()} == {
        name: type(value) for name, value in state.items()
    }
    loaded["a"][0] = 5  # writable, and nobody else's
    numpy_numbers = {
        "f": np.float64(0.1),
        "i": np.int64(3),
        "b": np.bool_(True),
        "t": (1, 2),
        7: "a number's name",
    }
    assert round_trip(numpy_numbers, tmp_path) == {
        "f": 0.1,
        "i": 3,
        "b": True,
        "t": [1, 2],
        "7": "a number's name",
    }
    special = round_trip({"x": [math.nan, math.inf, -0.0, 5e-324, 0.1 + 0.2]}, tmp_path)["x"]
    assert repr(special) == "[nan, inf, -0.0, 5e-324, 0.30000000000000004]"


def test_names_that_flatten_to_the_same(tmp_path):
    state = {
        "a/b": np.zeros(1),
        "a": {"b": np.ones(1), "b'": np.full(1, 2.0)},
        "": np.full(1, 3.0),
        "/": {"": np.full(1, 4.0)},
    }
    assert difference(state, round_trip(state, tmp_path)) == ""


def test_what_a_file_cannot_hold(tmp_path):
    for state, message in (
        ({"a": {"b": {1, 2}}}, r"a/b is of type set"),
        ({"a": [0, object()]}, r"a/1 is of type object"),
        ({"$array": 1}, r"it has the key '\$array'"),
        ({"a": {(1, 2): 3}}, r"a has the key \(1, 2\)"),
        ({"a": np.zeros(2, np.complex64)}, r"'a' has dtype complex64; a file can hold"),
        ({"a": np.zeros(2, object)}, r"'a' has dtype object"),
        ({"a": 1 + 2j}, "a is of type complex"),
    ):
        with pytest.raises(DtypeError, match=message):
            save_state(state, tmp_path / "s.safetensors")
    assert os.listdir(tmp_path) == []


def test_files_of_another_kind(tmp_path):
    mg.save({"w": mg.ones(2)}, tmp_path / "weights.safetensors")
    for path in (tmp_path / "weights.safetensors", tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(DataError, match=str(path)):
            load_state(path)


def test_mangled_files(tmp_path):
    results = mangle(tmp_path, 300, seed=1)
    assert results["checkpoint: error"] + results["checkpoint: unchanged"] == 100
    assert results["weights: error"] + results["weights: unchanged"] == 100
    assert results["foreign weights: error"] > 50


class Killed(BaseException):
    """Stands for the end of the process: no handler of ours may do anything useful about it."""


def test_a_kill_between_any_two_calls_of_the_system(tmp_path, monkeypatch):
    """One call fewer each time: the old state or the new one stands, whole, and after the last call the new one."""
    path = tmp_path / "s.safetensors"
    old, new = {"x": np.zeros(1000)}, {"x": np.ones(1000)}
    calls = {name: getattr(os, name) for name in ("fsync", "replace", "open", "close")}

    def save_until(limit: int) -> int:
        made = 0

        def counted(name):
            def call(*arguments, **options):
                nonlocal made
                made += 1
                if made > limit:
                    raise Killed
                return calls[name](*arguments, **options)

            return call

        with monkeypatch.context() as patch:
            for name in calls:
                patch.setattr(os, name, counted(name))
            patch.setattr("pathlib.Path.unlink", lambda self: None)  # who is killed does not tidy up
            save_state(new, path)
        return made

    outcomes = []
    for limit in range(20):
        save_state(old, path)
        try:
            save_until(limit)
        except Killed:
            outcomes.append(load_state(path)["x"][0])
        else:
            break
    assert outcomes == [0.0, 0.0, 1.0, 1.0, 1.0]  # sync, rename; then the folder: open, sync, close
    assert load_state(path)["x"][0] == 1
