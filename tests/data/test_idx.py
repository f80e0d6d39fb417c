"""The IDX format, byte by byte."""

from __future__ import annotations

import gzip
import struct

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from minigrad.data import idx_bytes, parse_idx, read_idx
from minigrad.errors import DataError

DTYPES = [np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64]
SMALL = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])  # [[1, 2, 3], [4, 5, 6]]


def test_bytes_written_by_hand():
    array = parse_idx(SMALL)
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    "code, form, values, dtype",
    [
        (0x09, "b", [-1, 127], np.int8),
        (0x0B, "h", [-300, 7], np.int16),
        (0x0C, "i", [-70_000, 2**31 - 1], np.int32),
        (0x0D, "f", [0.5, -1.25], np.float32),
        (0x0E, "d", [1e300, 0.1], np.float64),
    ],
)
def test_every_type_arrives_in_native_order(code, form, values, dtype):
    array = parse_idx(struct.pack(f">HBBI2{form}", 0, code, 1, 2, *values))
    assert array.dtype == dtype
    assert array.dtype.isnative
    np.testing.assert_array_equal(array, np.array(values, dtype))


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
    )
)
def test_reading_undoes_writing(array):
    again = parse_idx(idx_bytes(array))
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)


def test_an_array_in_any_memory_order_is_written_in_c_order():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert idx_bytes(np.asfortranarray(array)) == idx_bytes(array)


@given(st.integers(0, len(SMALL) - 1))
def test_a_file_cut_anywhere_is_refused(length):
    with pytest.raises(DataError, match=r"truncated|no IDX file"):
        parse_idx(SMALL[:length], "cut.idx")


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "0 bytes"),
        (b"\x1f\x8b\x08\x00" + SMALL, r"name ending in \.gz"),
        (b"<!doctype html>", "0x3c21646f"),
        (b"\x00\x01" + SMALL[2:], "0x00010802"),
        (b"\x00\x00\x0a" + SMALL[3:], "0x00000a02"),
        (b"\x00\x00\x08\x00", "0x00000800"),
        (SMALL + b"\x00", r"bytes after its end.*\(2, 3\).*18 bytes.*19"),
        (SMALL[:-1], r"truncated.*\(2, 3\) of uint8, 18 bytes in all, but it has 17"),
        (b"\x00\x00\x08\x04" + b"\xff" * 16, "truncated"),
    ],
)
def test_damage_is_described(content, said):
    with pytest.raises(DataError, match=said) as caught:
        parse_idx(content, "the-file")
    assert str(caught.value).startswith("the-file ")


def test_types_without_a_code_are_refused():
    with pytest.raises(DataError, match="int64"):
        idx_bytes(np.arange(3, dtype=np.int64))


@pytest.mark.parametrize("name", ["file-idx2-ubyte", "file-idx2-ubyte.gz"])
def test_files_plain_and_packed(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(SMALL) if name.endswith(".gz") else SMALL)
    array = read_idx(path)
    array[0, 0] = 9  # the reader's own memory: it may be written
    np.testing.assert_array_equal(array, [[9, 2, 3], [4, 5, 6]])


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*absent: No such file"):
        read_idx(tmp_path / "absent")
    with pytest.raises(DataError, match="cannot read"):
        read_idx(tmp_path)  # a folder
    packed = gzip.compress(bytes(1000))
    damaged = bytearray(packed)
    damaged[-8] ^= 0xFF  # its checksum
    for content in (packed[:-9], bytes(damaged), b"not gzip at all", packed[:10] + b"\xff" * 20):
        (tmp_path / "damaged.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"damaged\.gz is damaged"):
            read_idx(tmp_path / "damaged.gz")
