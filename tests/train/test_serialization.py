"""Saved tensors come back as they were, files are whole or absent, and damage is named."""

from __future__ import annotations

import json
import os
import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg
from minigrad import dtypes
from minigrad.errors import DataError, DtypeError
from minigrad.serialization import decode, encode


def round_trip(state: dict, path) -> dict:
    mg.save(state, path)
    return mg.load(path)


def assert_same(got: mg.Tensor, expected: mg.Tensor) -> None:
    """Equal to the bit, NaNs included."""
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    assert np.ascontiguousarray(got.numpy()).tobytes() == np.ascontiguousarray(expected.numpy()).tobytes()


@pytest.mark.parametrize("dtype", dtypes.BY_NAME)
def test_every_dtype_in_every_layout(tmp_path, rng, dtype):
    base = mg.tensor(rng.integers(0, 100, (2, 3, 4, 5)) / 7).to(dtype=dtype)
    state = {
        "plain": base,
        "channels last": mg.tensor(rng.standard_normal((2, 4, 5, 3))).to(dtype=dtype).permute(0, 3, 1, 2),
        "transposed": base[0, 0].T,
        "every other": base[:, ::2, 1:, ::3],
        "backwards": mg.from_numpy(base.numpy()[:, ::-1, :, ::-2]),
        "expanded": base[:1].expand(3, 3, 4, 5),
        "one number": base[0, 0, 0, 0],
        "empty": base[:, :0],
        "empty too": base[0, 0, 0, :0],
    }
    loaded = round_trip(state, tmp_path / "all.safetensors")
    assert list(loaded) == sorted(state)
    for name, tensor in state.items():
        assert_same(loaded[name], tensor)


@given(st.data())
def test_any_array(tmp_path_factory, data):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    array = data.draw(hnp.arrays(data.draw(st.sampled_from(["float32", "int16", "bool"])), shape))
    order = data.draw(st.permutations(range(array.ndim)))
    tensor = mg.tensor(array.transpose(order))
    assert_same(round_trip({"x": tensor}, tmp_path_factory.mktemp("s") / "x.safetensors")["x"], tensor)


def test_special_numbers(tmp_path):
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        tensor = mg.tensor([np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.0]).to(dtype=dtype)
        assert_same(round_trip({"x": tensor}, tmp_path / "x.safetensors")["x"], tensor)


def test_what_is_loaded_is_a_leaf_of_its_own(tmp_path):
    weight = mg.ones(2, requires_grad=True)
    loaded = round_trip({"w": weight}, tmp_path / "w.safetensors")["w"]
    assert not loaded.requires_grad
    loaded.fill_(5)  # writable
    assert weight.tolist() == [1, 1]
    assert mg.load(tmp_path / "w.safetensors", device="cpu")["w"].device == "cpu"
    assert round_trip({}, tmp_path / "none.safetensors") == {}


def test_a_model_comes_back(tmp_path):
    model = mg.nn.Sequential(mg.nn.Conv2d(1, 2, 3), mg.nn.BatchNorm2d(2))
    model(mg.randn(2, 1, 5, 5))
    mg.save(model.state_dict(), tmp_path / "m.safetensors")
    twin = mg.nn.Sequential(mg.nn.Conv2d(1, 2, 3), mg.nn.BatchNorm2d(2))
    twin.load_state_dict(mg.load(tmp_path / "m.safetensors"))
    for got, expected in zip(twin.state_dict().values(), model.state_dict().values(), strict=True):
        assert_same(got, expected)
    assert twin[1].num_batches_tracked.item() == 1


@pytest.mark.oracle
def test_the_files_are_everyones(torch, tmp_path):
    """The header is plain JSON, so the format's own description is oracle enough; PyTorch reads the bytes."""
    weight = mg.tensor(np.arange(6.0).reshape(2, 3)).T
    mg.save({"w": weight}, tmp_path / "w.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    entry = json.loads(content[8 : 8 + length])["w"]
    assert (entry["dtype"], entry["shape"]) == ("F64", [3, 2])
    begin, end = (8 + length + offset for offset in entry["data_offsets"])
    values = torch.frombuffer(bytearray(content[begin:end]), dtype=torch.float64).reshape(3, 2)
    assert values.tolist() == [[0, 3], [1, 4], [2, 5]]


# ------------------------------------------------ whole or not at all


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    mg.save({"w": mg.ones(1)}, path)
    before = path.read_bytes()
    for broken in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, broken, full_disk)
            with pytest.raises(DataError, match=r"cannot write .*w\.safetensors: No space left on device"):
                mg.save({"w": mg.zeros(9)}, path)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["w.safetensors"]  # nothing is left lying around
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            mg.save({"w": mg.zeros(9)}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["w.safetensors"]


def full_disk(*_):
    raise OSError(28, "No space left on device")


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.skipif(os.name == "nt", reason="permissions are another matter there")
def test_a_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "other").write_bytes(b"")
    mg.save({"w": mg.ones(1)}, tmp_path / "w.safetensors")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "w.safetensors")}
    assert len(modes) == 1


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "missing" / "w.safetensors", tmp_path / "file" / "w.safetensors", tmp_path):
        with pytest.raises(DataError, match="cannot write"):
            mg.save({"w": mg.ones(1)}, path)
    assert os.listdir(tmp_path) == ["file"]
    with pytest.raises(DtypeError, match=r"'w' is ndarray\. Make it one with mg\.tensor"):
        mg.save({"w": np.ones(1)}, tmp_path / "w.safetensors")


# ------------------------------------------------ damage


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "w.safetensors"
    mg.save({"w": mg.ones(100), "b": mg.ones(3)}, path)
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    for damaged in (
        b"",
        content[:4],
        content[: header - 3],
        content[:header],
        content[:-1],
        content + b"\0",
        b"PK\x03\x04" + content,
        content[:8] + b"[" + content[9:],
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"w\.safetensors is damaged or no safetensors file"):
            mg.load(path)


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*none\.safetensors"):
        mg.load(tmp_path / "none.safetensors")
    with pytest.raises(DataError, match="cannot read"):
        mg.load(tmp_path)


def test_a_type_that_we_do_not_have(tmp_path):
    import safetensors.numpy

    path = tmp_path / "w.safetensors"
    safetensors.numpy.save_file({"a": np.ones(2, np.uint16), "b": np.ones(2, np.float32)}, path)
    with pytest.raises(DataError, match=r"not supported: \{'a': 'U16'\}; known are BOOL"):
        mg.load(path)


def test_equal_states_give_equal_bytes():
    files = {bytes(encode({"w": np.ones(3)}, {"a": "1", "b": "é", "c": "3"})) for _ in range(30)}
    assert len(files) == 1
    arrays, texts = decode(files.pop(), "file")
    assert (arrays["w"].tolist(), texts["b"]) == ([1, 1, 1], "é")
