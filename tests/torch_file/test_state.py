"""Finding the weights in what a checkpoint holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import torch_file
from minigrad.errors import DataError
from minigrad.torch_file.state import find_state_dict
from tests.torch_checkpoints import Code, archive, call, memory, pickled, tensor, whole


class TestStateDicts:
    x = whole("0", np.zeros(2, np.float32))

    def find(self, tmp_path: Path, value: Any, key: str | None = None) -> Any:
        path = tmp_path / "checkpoint.pt"
        path.write_bytes(archive(pickled(value), {"0": bytes(8)}))
        return find_state_dict(path, key)

    def test_where_they_are(self, tmp_path):
        state = {"weight": self.x}
        assert self.find(tmp_path, state).key is None
        assert self.find(tmp_path, {"epoch": 3, "state_dict": state}).key == "state_dict"
        assert self.find(tmp_path, {"model": state, "x": self.x}).key == "model"
        assert self.find(tmp_path, {"generator": state, "epoch": 3}).key == "generator"
        both = self.find(tmp_path, {"ema": state, "model": state})
        assert (both.key, both.others) == ("model", ["ema"])
        assert self.find(tmp_path, {"ema": state, "model": state}, "ema").key == "ema"

    def test_where_they_are_not(self, tmp_path):
        state = {"weight": self.x}
        for value, key, match in [
            ({"a": state, "b": state}, None, "several sets.*'a', 'b'"),
            ({"epoch": 3}, None, "no tensors by name; there are 'epoch'"),
            ({}, None, "no tensors by name; there are no key"),
            (self.x, None, r"holds a float32 tensor of shape \[2\], not tensors by name"),
            ([self.x], None, "a list of 1"),
            (
                {"model": state, "epoch": 3},
                "epoch",
                "key 'epoch' holds a value of type int; tensors by name are under 'model'",
            ),
            ({"model": state}, "modle", "key 'modle' is not there"),
        ]:
            with pytest.raises(DataError, match=match) as error:
                self.find(tmp_path, value, key)
            assert "checkpoint.pt" in str(error.value)

    def test_prefixes_of_wrappers(self, tmp_path):
        for names, prefix in [
            (["module.a", "module.b"], "module."),
            (["_orig_mod.module.a"], "_orig_mod.module."),
            (["module._orig_mod.a"], "module._orig_mod."),
            (["module.a", "b"], ""),
            (["module."], ""),
        ]:
            found = self.find(tmp_path, dict.fromkeys(names, self.x))
            assert found.prefix == prefix
            assert list(found.tensors) == [name.removeprefix(prefix) for name in names]

    def test_what_else_lies_there(self, tmp_path):
        found = self.find(
            tmp_path, {"w": self.x, "args": call("argparse.Namespace"), "epoch": 3, "_extra_state": None}
        )
        assert list(found.tensors) == ["w"]
        assert found.left_out == {
            "args": "an object made by argparse.Namespace", "epoch": "a value of type int", "_extra_state": "None",
        }  # fmt: skip

    def test_a_tensor_that_minigrad_lacks(self, tmp_path):
        value = {"w": self.x, "e": call("torch._utils._rebuild_sparse_tensor", 1, 2)}
        with pytest.raises(DataError, match=r"'e' is a sparse tensor.*to_dense"):
            self.find(tmp_path, value)

    def test_many_names_for_one_large_tensor(self, tmp_path):
        """Each would take its own room in the file that is written."""
        shared = Code(tensor(memory("0", "FloatStorage", 1), (1000, 1000), (0, 0)) + b"q\x63")
        state = {"x": shared} | {f"x{i}": Code(b"h\x63") for i in range(100)}
        (tmp_path / "x.pth").write_bytes(archive(pickled(state), {"0": bytes(4)}))
        assert len(torch_file.read(tmp_path / "x.pth")) == 101
        with pytest.raises(DataError, match="404,000,000 bytes, far more"):
            torch_file.read_state_dict(tmp_path / "x.pth")
