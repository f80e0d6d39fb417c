"""`python -m minigrad convert`: what it writes, what it says, and when it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from minigrad import convert, torch_file
from tests.torch_checkpoints import archive, call, memory, of_state, pickled, tensor, whole

ROOT = Path(__file__).resolve().parent.parent
STATE = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn.running_mean": np.linspace(0, 1, 3),
    "bn.num_batches_tracked": np.array(7),
    "mask": np.array([True, False]),
}


@pytest.fixture
def weights(tmp_path) -> Path:
    path = tmp_path / "weights.pth"
    path.write_bytes(of_state(STATE))
    return path


def refused(capsys, *arguments: object) -> str:
    """The one line of a refusal, whose exit code is 2."""
    with pytest.raises(SystemExit) as end:
        convert.main([str(a) for a in arguments])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


@pytest.mark.parametrize("legacy", [True, False])
def test_the_tensors_arrive_unchanged(tmp_path, capsys, legacy):
    (tmp_path / "w.pth").write_bytes(of_state(STATE, legacy))
    out = tmp_path / "w.safetensors"
    assert convert.main([str(tmp_path / "w.pth"), str(out)]) == 0
    got = safetensors.numpy.load_file(out)
    assert got.keys() == STATE.keys()
    for name, array in STATE.items():
        assert got[name].dtype == array.dtype
        assert got[name].shape == array.shape
        assert np.array_equal(got[name], array)
    said = capsys.readouterr().out
    assert f"{out}: 4 tensors, 30 numbers, 130 bytes, {out.stat().st_size:,} bytes on disk" in said


def test_strided_and_shared_tensors(tmp_path):
    x = memory("0", "FloatStorage", 6)
    state = {"x": tensor(x, (2, 3), (3, 1)), "xT": tensor(x, (3, 2), (1, 3)), "row": tensor(x, (3,), (0,), 4)}
    content = np.arange(6, dtype=np.float32)
    (tmp_path / "w.pth").write_bytes(archive(pickled(state), {"0": content.tobytes()}))
    convert.main([str(tmp_path / "w.pth"), str(tmp_path / "w.safetensors")])
    got = safetensors.numpy.load_file(tmp_path / "w.safetensors")
    assert got["xT"].tolist() == content.reshape(2, 3).T.tolist()
    assert got["row"].tolist() == [4, 4, 4]


def test_weights_go_from_pytorch_into_a_model(torch, tmp_path, rng):
    """The whole way: PyTorch's module, its file, ours, our module, and the same output."""
    import minigrad as mg

    def layers(nn):
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 9, 2)
        )

    theirs, ours = layers(torch.nn), layers(mg.nn)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    torch.save({"state_dict": torch.nn.DataParallel(theirs).state_dict(), "epoch": 3}, tmp_path / "w.pth")
    convert.main([str(tmp_path / "w.pth"), str(tmp_path / "w.safetensors")])
    assert list(ours.load_state_dict(mg.load(tmp_path / "w.safetensors"))) == [[], []]
    x = rng.standard_normal((2, 3, 5, 5)).astype(np.float32)
    expected = theirs.eval()(torch.tensor(x)).detach().numpy()
    assert np.allclose(ours.eval()(mg.tensor(x)).numpy(), expected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(ours[0].weight.numpy(), theirs[0].weight.detach().numpy())
    direct = torch_file.read_state_dict(tmp_path / "w.pth")
    assert list(layers(mg.nn).load_state_dict(direct)) == [[], []]


class TestWhatItSays:
    x = whole("0", np.zeros(2, np.float32))

    def of(self, tmp_path: Path, value: object) -> str:
        path = tmp_path / "checkpoint.pt"
        path.write_bytes(archive(pickled(value), {"0": bytes(8)}))
        return str(path)

    def test_how_it_found_them(self, tmp_path, capsys):
        state = {"module.w": self.x, "module.args": call("argparse.Namespace")}
        path = self.of(tmp_path, {"model": state, "ema": {"w": self.x}, "epoch": 3})
        assert convert.main([path, str(tmp_path / "out.safetensors")]) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0].startswith(str(tmp_path / "out.safetensors: 1 tensors, 2 numbers, 8 bytes"))
        assert said[1:] == [
            "found under the key model",
            "other tensors are under ema (--key chooses)",
            "took the prefix 'module.' away from every name; a wrapper such as DataParallel had put it there",
            "left out module.args: an object made by argparse.Namespace",
        ]
        assert list(safetensors.numpy.load_file(tmp_path / "out.safetensors")) == ["w"]

    def test_a_key_chooses(self, tmp_path):
        path = self.of(tmp_path, {"model": {"a": self.x}, "ema": {"b": self.x}})
        assert convert.main([path, str(tmp_path / "out.safetensors"), "--key", "ema"]) == 0
        assert list(safetensors.numpy.load_file(tmp_path / "out.safetensors")) == ["b"]

    def test_a_list_writes_nothing(self, weights, capsys):
        before = os.listdir(weights.parent)
        assert convert.main([str(weights), "--list"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split(maxsplit=1) == ["float32", "[2, 3, 2, 2]          conv.weight"]
        assert lines[-1] == f"{weights}: 4 tensors, 30 numbers, 130 bytes"
        assert os.listdir(weights.parent) == before

    def test_names_cannot_play_tricks_on_the_terminal(self, tmp_path, capsys):
        convert.main([self.of(tmp_path, {"\x1b[2Jw": self.x, "\x1b[2Jn": 1}), "--list"])
        said = capsys.readouterr().out
        assert "\x1b" not in said
        assert said.count(r"'\x1b[2J") == 2


class TestRefusals:
    def test_a_file_that_exists_unless_forced(self, weights, capsys):
        out = weights.with_suffix(".safetensors")
        out.write_text("mine")
        assert "exists; add --force" in refused(capsys, weights, out)
        assert out.read_text() == "mine"
        assert convert.main([str(weights), str(out), "--force"]) == 0
        assert len(safetensors.numpy.load_file(out)) == 4

    def test_the_file_itself_even_if_forced(self, weights, capsys):
        content = weights.read_bytes()
        os.link(weights, weights.parent / "another-name")
        for out in (weights, weights.parent / "another-name"):
            assert "is the file to be read" in refused(capsys, weights, out, "--force")
        assert weights.read_bytes() == content

    def test_places_that_cannot_be_written(self, weights, capsys):
        assert "there is no folder" in refused(capsys, weights, weights.parent / "absent" / "out.safetensors")
        assert "is a folder; name a file in it" in refused(capsys, weights, weights.parent)

    def test_files_that_cannot_be_read_leave_nothing_behind(self, tmp_path, capsys):
        bad = tmp_path / "bad.pth"
        bad.write_bytes(of_state(STATE)[:-40])
        assert "damaged" in refused(capsys, bad, tmp_path / "out")
        bad.write_bytes(archive(pickled(call("os.system", f"touch {tmp_path}/sprung"))))
        assert "'os.system'" in refused(capsys, bad, tmp_path / "out")
        assert "there is no file" in refused(capsys, tmp_path / "absent.pth", tmp_path / "out")
        assert os.listdir(tmp_path) == ["bad.pth"]

    def test_what_is_damaged_does_not_replace_an_older_file(self, tmp_path, capsys):
        (tmp_path / "bad.pth").write_bytes(of_state(STATE)[:-40])
        (tmp_path / "out").write_text("mine")
        refused(capsys, tmp_path / "bad.pth", tmp_path / "out", "--force")
        assert (tmp_path / "out").read_text() == "mine"

    def test_a_name_that_safetensors_reserve(self, tmp_path, capsys):
        (tmp_path / "w.pth").write_bytes(of_state({"__metadata__": np.zeros(2)}))
        assert "reserve" in refused(capsys, tmp_path / "w.pth", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_command_lines(self, weights, capsys):
        assert "name the file to write" in refused(capsys, weights)
        assert "leave out the second file" in refused(capsys, weights, "out", "--list")
        assert "unrecognized arguments" in refused(capsys, weights, "out", "--overwrite")


def test_from_the_command_line(weights):
    """As a user runs it, without PyTorch being loaded."""
    script = (
        "import sys; from minigrad.__main__ import main; code = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; "
        "sys.exit(code)"
    )
    out = weights.with_suffix(".safetensors")
    for expected in (0, 2):
        result = subprocess.run(
            [sys.executable, "-c", script, "convert", str(weights), str(out)],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        assert result.returncode == expected, result.stderr
    assert result.stderr.startswith("python -m minigrad convert: error: ")
    assert out.exists()
