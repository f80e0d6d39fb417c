"""Matrices as blobs: exact, in pieces, and readable without minigrad."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigrad.errors import ArgumentError, DataError
from minigrad.record import schema
from minigrad.record.coding import PIECE, decode, pieces, stored_dtype

DTYPES = ["<f2", "<f4", "<f8", "<i8", "|u1", "<u2"]


@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_a_matrix_comes_back_to_the_bit(data, dtype):
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=20))
    matrix = data.draw(hnp.arrays(dtype, shape))
    back = np.concatenate([decode(blob, np.dtype(dtype), shape[1]) for blob in pieces(matrix)])
    assert back.dtype == matrix.dtype
    assert back.tobytes() == matrix.tobytes()


def test_the_recipe_in_the_schema_reads_a_blob(rng):
    lines = [line.strip() for line in schema.__doc__.splitlines() if line.startswith("    ")]
    matrix = rng.standard_normal((7, 3)).astype("<f4")
    names = {"np": np, "zlib": zlib, "data": pieces(matrix)[0], "dtype": "<f4", "columns": ["a", "b", "c"]}
    assert len(lines) == 3
    exec("\n".join(lines), names)
    assert np.array_equal(names["matrix"], matrix)


def test_pieces_are_whole_rows_below_a_megabyte(rng):
    matrix = rng.standard_normal((70_001, 9))
    blobs = pieces(matrix)
    assert len(blobs) > 4
    assert max(map(len, blobs)) <= PIECE  # noise: it cannot be compressed to hide a piece that is too long
    assert np.array_equal(np.concatenate([decode(blob, matrix.dtype, 9) for blob in blobs]), matrix)


def test_statistics_take_less_than_their_bytes(rng):
    matrix = (0.1 * rng.standard_normal((186, 11))).astype("<f4")
    matrix[:, 1:4] = 0  # NaNs, infinities and zeros, of which there are seldom any
    assert len(pieces(matrix)[0]) < 0.75 * matrix.nbytes


@pytest.mark.parametrize("dtype", ["complex64", "O", "U3", "bool", "nonsense"])
def test_a_type_that_cannot_be_stored_is_refused(dtype):
    with pytest.raises(ArgumentError, match="layout"):
        stored_dtype(dtype)


@pytest.mark.parametrize("blob", [b"", b"no zlib", zlib.compress(b"12345"), zlib.compress(bytes(4 * 7))])
def test_a_damaged_blob_is_an_error(blob):
    with pytest.raises(DataError, match="damaged"):
        decode(blob, np.dtype("<f4"), 2)
