"""Pickles that would do harm in other hands: nothing in them is imported or called."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import pytest

from minigrad import torch_file
from minigrad.errors import DataError
from tests.torch_checkpoints import Code, archive, call, code, memory, name, pickled, stream

TRAP = "tests.torch_file.test_hostile.Trap"


class Trap:
    """Ours, so that the pickles below would work if anyone ran them."""

    sprung: list[str] = []

    def __init__(self, *arguments: Any) -> None:
        self.sprung.append("made")

    def __setstate__(self, state: Any) -> None:
        self.sprung.append("set")


def spring(text: str = "called") -> dict:
    Trap.sprung.append(text)
    return {}


@pytest.fixture(autouse=True)
def _no_trap_is_sprung():
    Trap.sprung.clear()
    yield
    assert not Trap.sprung


REDUCE = call("tests.torch_file.test_hostile.spring")
NEW = Code(name(TRAP) + code(()) + b"\x81")
CALLS = {
    "REDUCE": REDUCE,
    "BUILD": Code(NEW + code({"x": 1}) + b"b"),
    "NEWOBJ_EX": Code(name(TRAP) + code(()) + code({}) + b"\x92" + code({"x": 1}) + b"b"),
    "INST": Code(b"(" + code("x") + b"itests.torch_file.test_hostile\nspring\n"),
    "OBJ": Code(b"(" + name(TRAP) + code("x") + b"o"),
    "STACK_GLOBAL": Code(code("tests.torch_file.test_hostile") + code("spring") + b"\x93" + code(()) + b"R"),
    "a method of an object": Code(name(f"{TRAP}.__init__") + code((None,)) + b"R"),
    "appended to": Code(NEW + code(1) + b"a"),
    "a call's result called": Code(REDUCE + code(()) + b"R"),
}


class TestHostileFiles:
    @pytest.mark.parametrize("how", ["REDUCE", "BUILD", "INST", "OBJ", "STACK_GLOBAL"])
    def test_the_traps_are_traps(self, how):
        pickle.loads(b"\x80\x04" + CALLS[how] + b".")  # noqa: S301
        assert Trap.sprung
        Trap.sprung.clear()

    @pytest.mark.parametrize("how", list(CALLS))
    @pytest.mark.parametrize("pack", [archive, stream])
    def test_no_way_to_call_a_function_calls_it(self, read, how, pack):
        got = read(pack(pickled({"trap": CALLS[how], "after": 5})))
        assert got["after"] == 5
        assert isinstance(got["trap"], torch_file.Opaque)
        assert "tests.torch_file.test_hostile" in repr(got["trap"])

    @pytest.mark.parametrize(
        "function",
        ["os.system", "posix.system", "nt.system", "subprocess.Popen", "builtins.eval", "__builtin__.exec",
         "builtins.exec", "os.path.join", "runpy.run_path", "importlib.import_module", "builtins.__import__"],
    )  # fmt: skip
    @pytest.mark.parametrize("pack", [archive, stream])
    def test_commands_are_refused_by_name(self, read, tmp_path, function, pack):
        attack = call(function, f"touch {tmp_path}/sprung")
        with pytest.raises(DataError, match=rf"{function}.*Nothing of it was run"):
            read(pack(pickled({"weight": 1, "x": attack})))
        assert not (tmp_path / "sprung").exists()

    def test_nothing_is_imported(self, read):
        module = "this"  # prints a poem when imported
        assert module not in sys.modules
        assert read(archive(pickled(call(f"{module}.s"))))
        assert module not in sys.modules

    @pytest.mark.parametrize(
        "reference",
        [("storage", 1, 2), "x", None, ("x",), ["storage"], {}, ("storage", "FloatStorage", "0", "cpu", 1),
         ("storage", name(TRAP), "0", "cpu", 1), ("storage", name("torch.load"), "0", "cpu", 1),
         ("storage", name("torch.FloatStorage"), 0, "cpu", 1), ("storage", name("torch.FloatStorage"), "0", "cpu", -1),
         ("storage", name("torch.FloatStorage"), "0", "cpu", 1.5),
         ("storage", name("torch.FloatStorage"), "0", "cpu", 1, ("1", 0, 1))],
    )  # fmt: skip
    def test_references_that_are_none(self, read, reference):
        with pytest.raises(DataError, match=r"refers to|very old PyTorch"):
            read(archive(pickled(Code(code(reference) + b"Q")), {"0": bytes(4)}))
        with pytest.raises(DataError, match="no memory of a tensor"):
            read(archive(b"Pos.system\n."))

    @pytest.mark.parametrize("opcode", [b"\x82\x01", b"\x97", b"\x98", b"\xff"])
    def test_opcodes_that_no_file_needs(self, read, opcode):
        with pytest.raises(DataError, match="unknown opcode"):
            read(archive(b"\x80\x02" + opcode + b"."))

    def test_our_builders_take_no_nonsense(self, read):
        rebuild, storage = "torch._utils._rebuild_tensor_v2", memory("0", "FloatStorage", 4)
        for bad in (
            call(rebuild), call(rebuild, 1, 2, 3, 4), call(rebuild, None, 0, (4,), (1,)),
            call("collections.OrderedDict", 5), call("collections.OrderedDict", [[1]]), call("torch.Size", 5),
            call("torch._tensor._rebuild_from_type_v2", name(rebuild), None, 5, None),
            call("_codecs.encode", "x", "zlib"), Code(code({}) + code(()) + b"R"), Code(name(TRAP) + code(5) + b"R"),
            Code(code([]) + code(1) + code(2) + b"s"), Code(code({}) + code(1) + b"a"),
            Code(code([]) + code({}) + b"b"), Code(code(1) + code("x") + b"\x93"),
            call("torch._utils._rebuild_tensor_v2", storage, 0, (4,)),
        ):  # fmt: skip
            with pytest.raises(DataError, match="damaged"):
                read(archive(pickled(bad), {"0": bytes(16)}))

    def test_subclasses_cannot_nest(self, read):
        """Arguments within arguments could be deeper than Python's own stack."""
        again = name("torch._tensor._rebuild_from_type_v2")
        value: Any = ()
        for _ in range(50):
            value = (again, None, value, None)
        assert read(archive(pickled(call("torch._tensor._rebuild_from_type_v2", *value)))).is_tensor
