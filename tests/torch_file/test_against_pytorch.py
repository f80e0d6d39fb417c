"""Checkpoint files are read as PyTorch reads them."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import torch_file
from minigrad.errors import DataError
from minigrad.tensor import Tensor
from tests.torch_checkpoints import of_state

DTYPES = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]


def assert_same(got: Any, expected: Any) -> None:
    """The same values, PyTorch's tensors and ours being one."""
    import torch

    if isinstance(expected, torch.Tensor):
        assert isinstance(got, Tensor)
        assert got.shape == tuple(expected.shape)
        assert str(got.dtype) == str(expected.dtype).removeprefix("torch.")
        wide = expected.detach().double() if expected.is_floating_point() else expected
        assert np.array_equal(got.numpy().astype(wide.numpy().dtype), wide.numpy(), equal_nan=True)
    elif isinstance(expected, dict):
        assert list(got) == list(expected)
        for key in expected:
            assert_same(got[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(got) == len(expected)
        assert isinstance(got, list) == isinstance(expected, list)
        for mine, theirs in zip(got, expected, strict=True):
            assert_same(mine, theirs)
    else:
        assert (type(got), got) == (type(expected), expected)


@pytest.fixture(params=[True, False], ids=["zip", "legacy"])
def round_trip(request, torch, tmp_path):
    """torch.save, then our read."""

    def save_and_read(value: Any, **how: Any) -> Any:
        path = tmp_path / "value.pth"
        torch.save(value, path, _use_new_zipfile_serialization=request.param, **how)
        return torch_file.read(path)

    return save_and_read


class TestAgainstPyTorch:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_every_dtype(self, torch, round_trip, dtype):
        values = torch.tensor([[0.0, 1.5, 100.0], [3.0, 0.0, 7.25]]).to(getattr(torch, dtype))
        assert_same(round_trip({"x": values}), {"x": values})

    def test_values_that_are_not_finite(self, torch, round_trip):
        values = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0])
        got = round_trip(values)
        assert_same(got, values)
        assert np.signbit(got.numpy()[3])

    def test_views_of_every_kind(self, torch, round_trip):
        x = torch.arange(120.0).reshape(2, 3, 4, 5)
        views = {
            "transposed": x.permute(3, 1, 0, 2),
            "slice": x[1:, ::2, 1:3],
            "offset": x[1, 2, 3],
            "element": x[1, 2, 3, 4],
            "expanded": torch.ones(3, 1).expand(3, 4),
            "diagonal": x[0, 0].diagonal(),
            "channels last": x.contiguous(memory_format=torch.channels_last),
            "empty": x[:0],
            "windows": torch.arange(6.0).unfold(0, 3, 1),
        }
        assert_same(round_trip(views), views)

    def test_shared_memory_stays_shared(self, torch, round_trip):
        x = torch.zeros(4)
        got = round_trip({"x": x, "same": x, "part": x[1:3]})
        got["x"].fill_(5)
        assert got["same"].tolist() == [5, 5, 5, 5]
        assert got["part"].tolist() == [5, 5]

    def test_a_module_an_optimiser_and_numbers(self, torch, round_trip):
        model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten())
        optimiser = torch.optim.Adam(model.parameters())
        model(torch.ones(2, 3, 5, 5)).sum().backward()
        optimiser.step()
        value = {
            "state_dict": model.state_dict(), "optimizer": optimiser.state_dict(), "epoch": 7, "loss": 0.25,
            "big": 2**80, "name": "Größe", "best": None, "done": True, "size": torch.Size([2, 3]), "raw": b"\x00\xff",
            "list": [1, (2.5, "x"), {"deep": OrderedDict(a=1)}], "scalar": torch.tensor(3), "none": torch.empty(0, 2),
        }  # fmt: skip
        assert_same(round_trip(value), value)

    def test_parameters(self, torch, round_trip):
        parameter = torch.nn.Parameter(torch.ones(3))
        with_attributes = torch.nn.Parameter(torch.ones(2))
        with_attributes.note = "text"
        tensor_with_attributes = torch.zeros(2)
        tensor_with_attributes.note = "text"
        value = {"p": parameter, "q": with_attributes, "t": tensor_with_attributes}
        assert_same(round_trip(value), value)

    @pytest.mark.parametrize("protocol", range(2, 6))
    def test_every_protocol(self, torch, round_trip, protocol):
        value = {"x": torch.arange(3.0), "list": [1, "text", b"bytes", 2.5, None, (True, False)]}
        assert_same(round_trip(value, pickle_protocol=protocol), value)

    @pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
    def test_what_minigrad_lacks_is_named(self, torch, round_trip):
        value = {
            "sparse": torch.eye(2).to_sparse(),
            "quantised": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            "ComplexFloat": torch.zeros(2, dtype=torch.complex64),
            "float8_e4m3fn": torch.zeros(2, dtype=torch.float8_e4m3fn),
            "uint16": torch.zeros(2, dtype=torch.uint16),
            "negated": torch.zeros(2, dtype=torch.complex64).conj().imag,
            "x": torch.ones(2),
        }
        got = round_trip(value)
        assert_same(got.pop("x"), value["x"])
        for word, opaque in got.items():
            assert opaque.is_tensor
            assert word in opaque.name

    def test_objects_of_classes_are_passed_over(self, torch, round_trip):
        import argparse

        value = {
            "args": argparse.Namespace(lr=0.1),
            "path": Path("x"),
            "kinds": {1, 2},
            "dtype": torch.float32,
        }
        got = round_trip({**value, "x": torch.ones(2)})
        assert got["x"].tolist() == [1, 1]
        names = {key: got[key].name for key in value}
        assert names["args"] == "argparse.Namespace"
        assert names["dtype"] == "torch.float32"
        assert "set" in names["kinds"]

    def test_a_whole_model_is_refused_with_advice(self, torch, tmp_path):
        torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
        with pytest.raises(DataError, match=r"torch.nn.modules.linear.Linear.*model\.state_dict\(\)"):
            torch_file.read_state_dict(tmp_path / "model.pth")

    @pytest.mark.parametrize("legacy", [True, False])
    def test_files_put_together_by_hand_are_what_pytorch_reads(self, torch, tmp_path, rng, legacy):
        """The other tests stand on such files, where PyTorch may be missing."""
        state = {"a": rng.standard_normal((2, 3)).astype(np.float32), "b": np.array([True, False])}
        (tmp_path / "state.pth").write_bytes(of_state(state, legacy))
        theirs = torch.load(tmp_path / "state.pth", weights_only=True)
        assert all(np.array_equal(theirs[key].numpy(), state[key]) for key in state)
