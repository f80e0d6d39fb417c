"""The restricted reader: arrays come through, nothing else runs."""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest

from minigrad.data.pickled_arrays import load_arrays
from minigrad.errors import DataError


def python2_pickle(array: np.ndarray, module: str = "numpy.core.multiarray") -> bytes:
    """What Python 2 wrote for an array: protocol 2, contents and names as byte strings."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value  # SHORT_BINSTRING

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    contents = array.tobytes()
    dtype = b"cnumpy\ndtype\n" + text(array.dtype.str[1:].encode()) + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + text(b"<") + b"NNN" + number(-1) + number(-1) + b"K\x00tb"
    empty = (
        b"c"
        + module.encode()
        + b"\n_reconstruct\ncnumpy\nndarray\n"
        + number(0)
        + b"\x85"
        + text(b"b")
        + b"\x87R"
    )
    shape = b"(" + b"".join(map(number, array.shape)) + b"t"
    body = b"T" + struct.pack("<i", len(contents)) + contents  # BINSTRING
    return b"\x80\x02" + empty + b"(K\x01" + shape + dtype + b"\x89" + body + b"tb."


def load(content: bytes):
    return load_arrays(io.BytesIO(content))


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
@pytest.mark.parametrize("dtype", ["<f4", "<i8", "|u1"])
def test_arrays_of_python_2_come_through(rng, module, dtype):
    array = rng.integers(0, 256, (3, 5)).astype(dtype)
    again = load(python2_pickle(array, module))
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)


@pytest.mark.parametrize("protocol", [3, 4])
def test_nested_arrays_of_today_come_through(rng, protocol):
    arrays = [(rng.random((2, 3), np.float32), np.arange(4)), (np.zeros((0, 2)), np.array([True]))]
    again = load(pickle.dumps(arrays, protocol=protocol))
    for pair, expected in zip(again, arrays, strict=True):
        for array, original in zip(pair, expected, strict=True):
            assert array.dtype == original.dtype
            np.testing.assert_array_equal(array, original)


class Command:
    """Runs a command when unpickled by anything that trusts its input."""

    def __init__(self, path: object) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_does_not_run(tmp_path, protocol):
    target = tmp_path / "made"
    harmful = pickle.dumps((np.arange(3).tolist(), Command(target)), protocol=protocol)
    with pytest.raises(DataError, match=r"asks for (posix|nt)\.mkdir"):
        load(harmful)
    assert not target.exists()
    pickle.loads(harmful)  # noqa: S301 - what the reader protects from
    assert target.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\nload\n.",
        b"cnumpy\nfromfile\n.",
        b"cnumpy.core.multiarray\nscalar\n.",
        b"c__builtin__\neval\n.",
        b"cbuiltins\ngetattr\n.",
        b"cnumpy.testing._private.utils\nrunstring\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",  # a dotted name reaches into an admitted class
    ],
)
def test_every_other_name_is_refused(content):
    with pytest.raises(DataError, match="only NumPy arrays are admitted"):
        load(content)


def test_other_objects_are_refused():
    for harmless in (OrderedDict(a=1), {1}.__class__, np.float32(1)):
        with pytest.raises(DataError, match="only NumPy arrays"):
            load(pickle.dumps(harmless, protocol=2))


def test_references_to_outside_objects_are_refused():
    with pytest.raises(DataError, match="outside object"):
        load(b"Pname\n.")


def test_what_is_admitted_cannot_be_changed():
    # BUILD with attributes to set, on each of the names a pickle may hold.
    for name in (b"numpy\nndarray", b"numpy\ndtype", b"numpy.core.multiarray\n_reconstruct"):
        state = pickle.dumps((None, {"__doc__": "changed"}), protocol=2)[2:-1]
        with pytest.raises(DataError, match="damaged"):
            load(b"\x80\x02c" + name + b"\n" + state + b"b.")
    assert np.ndarray.__doc__ != "changed"


def test_damage_is_a_clear_error():
    good = python2_pickle(np.arange(5))
    for cut in range(len(good)):
        with pytest.raises(DataError, match=r"damaged|only NumPy"):
            load(good[:cut])
