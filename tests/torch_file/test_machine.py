"""The machine for pickles: plain values are what Python reads, and no file can make it work or take too much."""

from __future__ import annotations

import io
import pickle
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.errors import DataError
from minigrad.torch_file import opcodes
from minigrad.torch_file.machine import Source
from tests.torch_checkpoints import Code, code, pickled


def run(content: bytes) -> Any:
    """What the machine makes of one pickle, without any memory beside it."""
    return opcodes.run_pickle(
        Source(io.BytesIO(content), len(content)),
        {},
        lambda reference: pytest.fail("no memory was referred to"),
    )


numbers = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
plain_values = st.recursive(
    numbers | st.text(max_size=300) | st.binary(max_size=300),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(0, 9), inner),
    max_leaves=20,
)  # fmt: skip


@given(plain_values, st.integers(3, 5))
def test_plain_values_are_what_python_reads(value, protocol):
    got = run(pickle.dumps(value, protocol))
    assert got == value
    assert repr(got) == repr(value), "1, 1.0 and True are equal, and not the same"


@given(plain_values, st.integers(0, 2))
def test_plain_values_of_old_protocols(value, protocol):
    """These spell bytes as a call of a function, so there are none."""
    text = repr(value)
    if "b'" not in text and 'b"' not in text:
        assert repr(run(pickle.dumps(value, protocol))) == text


@pytest.mark.parametrize(
    ("program", "value"),
    [
        (b"S'it\\'s'\n.", "it's"),
        (b"U\x03abc.", "abc"),
        (b"T\x02\x00\x00\x00\xff\xfe.", b"\xff\xfe"),
        (b"I01\n.", True),
        (b"I12\n.", 12),
        (b"L12L\n.", 12),
        (b"(K\x01K\x02l.", [1, 2]),
        (b"(K\x01K\x02d.", {1: 2}),
        (b"K\x07K\x080.", 7),
        (b"K\x07(K\x081.", 7),
        (b"K\x07(0.", 7),
        (b"K\x072\x86.", (7, 7)),
    ],
)
def test_opcodes_that_python_no_longer_writes(program, value):
    assert run(program) == value
    assert pickle.loads(program, encoding="latin1" if b"\xff" in program else "ASCII") == (  # noqa: S301
        "ÿþ" if b"\xff" in program else value
    )


class TestLimits:
    @pytest.mark.parametrize("depth", [200, 400_000])
    @pytest.mark.parametrize("wrap", [(b"]", b"a"), (b"", b"\x85")], ids=["lists", "tuples"])
    def test_depth(self, depth, wrap):
        before, after = wrap
        with pytest.raises(DataError, match="nested more than 100 deep"):
            run(before * depth + b"N" + after * depth + b".")

    def test_the_same_value_again_and_again(self):
        with pytest.raises(DataError, match="describes more than"):
            run(code([1, 2, 3]) + b"2\x86" * 60 + b".")
        assert run(code(()) + b"2\x86" * 3 + b".") == ((((), ()), ((), ())), (((), ()), ((), ())))

    def test_a_value_in_itself(self):
        with pytest.raises(DataError, match="contains itself"):
            run(b"]q\x00h\x00a.")
        with pytest.raises(DataError, match="contains itself"):
            run(b"}q\x00" + code("x") + b"]h\x00as.")

    def test_the_number_of_opcodes(self, monkeypatch):
        monkeypatch.setattr(opcodes, "MAX_OPCODES", 1000)
        assert run(b"N0" * 499 + b"N.") is None
        with pytest.raises(DataError, match="more than 1,000 opcodes"):
            run(b"N0" * 500 + b"N.")

    @pytest.mark.parametrize(
        "program",
        [b"\x8e" + b"\xff" * 8, b"\x8d" + (2**40).to_bytes(8, "little"), b"\x96" + (2**62).to_bytes(8, "little"),
         b"B\xff\xff\xff\xff", b"T\xff\xff\xff\xff", b"\x8b\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\xff",
         b"I5", b"", b"]", b"X\x05"],
    )  # fmt: skip
    def test_bytes_that_are_not_there(self, program):
        with pytest.raises(DataError, match=r"announces|has no end"):
            run(program)

    @pytest.mark.parametrize(
        "program",
        [b".", b"0.", b"1.", b"2.", b"a.", b"s.", b"u.", b"t.", b"\x86.", b"R.", b"b.", b"q\x00.", b"h\x00.", b"\x94.",
         b"\x80\x09N.", b"Ix\n.", b"I" + b"9" * 5000 + b"\n.", b"Fx\n.", b"S'x\n.", b"Sx\n.", b"X\x01\x00\x00\x00\xff.",
         b"(Nd.", b"V\\ud8\n.", b"p-1\n.", b"Np-1\n.", b"gx\n.", b"cos\xff\nx\n.", b"Q."],
    )  # fmt: skip
    def test_programs_that_make_no_sense(self, program):
        with pytest.raises(DataError, match="damaged"):
            run(program)

    def test_integers_of_any_length(self):
        assert run(pickled(2**500)) == 2**500
        with pytest.raises(DataError, match="beyond all reason"):
            run(pickled(2**9000))

    def test_keys_with_the_same_hash(self):
        """A dictionary of them takes time that grows with the square of their number."""
        prime, n = 2**61 - 1, 30_000
        pairs = b"".join(code((i + 1) * prime) + code(i) for i in range(n))
        began = time.perf_counter()
        got = run(b"}(" + pairs + b"u.")
        memoised = b"".join(b"Np%d\n" % (i * prime) for i in range(n))
        with pytest.raises(DataError, match="beyond all reason"):
            run(memoised + b".")
        assert time.perf_counter() - began < 5
        assert len(got) == n
        assert not any(isinstance(key, int) for key in got)

    def test_keys_that_take_long_to_hash(self):
        key = Code(code(()) + b"2\x86" * 60)
        began = time.perf_counter()
        (got,) = run(pickled({key: 1}))
        assert time.perf_counter() - began < 5
        assert got.name == "a key of type tuple"
