"""Matrices to blobs and back; `minigrad.record.schema` tells the layout."""

from __future__ import annotations

import zlib

import numpy as np

from minigrad.errors import ArgumentError, DataError

PIECE = 1 << 20  # bytes: a longer blob slows SQLite down
_LEVEL = 1  # of zlib; higher ones take several times longer for a few per cent


def stored_dtype(dtype: str | np.dtype) -> np.dtype:
    """The little-endian type that numbers are stored in. Raises ArgumentError for types that NumPy alone cannot read.

    >>> stored_dtype("float32").str
    '<f4'
    """
    try:
        found = np.dtype(dtype).newbyteorder("<")
    except TypeError as error:
        raise ArgumentError(f"a layout's dtype is NumPy's, such as 'float32', not {dtype!r}") from error
    if found.kind not in "fiu":
        raise ArgumentError(f"a layout holds floating point numbers or integers, not {found}")
    return found


def pieces(matrix: np.ndarray) -> list[bytes]:
    """The blobs of a matrix (rows, columns), each of whole rows and at most 1 MB before it is compressed."""
    rows = max(1, PIECE // max(1, matrix.shape[1] * matrix.itemsize))
    return [_encode(matrix[first : first + rows]) for first in range(0, max(1, len(matrix)), rows)]


def _encode(matrix: np.ndarray) -> bytes:
    by_column = np.ascontiguousarray(matrix.T)
    planes = by_column.view(np.uint8).reshape(-1, matrix.itemsize).T
    return zlib.compress(planes.tobytes(), _LEVEL)


def decode(data: bytes, dtype: np.dtype, columns: int) -> np.ndarray:
    """The rows (rows, columns) that one blob holds. Raises DataError if it is damaged."""
    try:
        planes = np.frombuffer(zlib.decompress(data), np.uint8).reshape(dtype.itemsize, -1)
        return np.ascontiguousarray(planes.T).view(dtype).reshape(columns, -1).T
    except (zlib.error, ValueError) as error:
        raise DataError(f"a matrix of the record is damaged: {error}") from error
