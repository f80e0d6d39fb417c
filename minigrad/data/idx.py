"""The IDX format of the MNIST family: a magic number, the sizes, the values.

    bytes 0-1   zero
    byte  2     the type of the values (0x08 unsigned byte, ...)
    byte  3     the number of dimensions n
    then        n sizes, each a big-endian 32-bit unsigned integer
    then        the values, in C order, big-endian

Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", section "File
formats".
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from minigrad.errors import DataError

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES = {np.dtype(dtype): code for code, dtype in DTYPES.items()}


def parse_idx(content: bytes | bytearray, name: str = "IDX data") -> npt.NDArray:
    """The array that IDX bytes describe, in this machine's byte order.

    Parameters: `content`, a whole file, uncompressed; `name`, how errors call it. Returns an array with the
    shape and the type the header gives; unsigned bytes are a view of `content`, writable if it is a
    bytearray.

    Raises DataError when the magic number is wrong, bytes are missing, or bytes follow the last value.

    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    array([7, 2, 1], dtype=uint8)
    """
    if len(content) < 4:
        raise DataError(f"{name} is no IDX file: {len(content)} bytes, but the magic number alone has 4")
    zero, code, ndim = struct.unpack_from(">HBB", content)
    if zero != 0 or code not in DTYPES or ndim == 0:
        magic = bytes(content[:4]).hex()
        hint = "; it looks gzip-compressed: give it a name ending in .gz" if magic.startswith("1f8b") else ""
        raise DataError(
            f"{name} is no IDX file: it begins with 0x{magic}, expected 0x0000, a type ("
            f"{', '.join(f'0x{known:02x}' for known in DTYPES)}) and a number of dimensions from 1{hint}"
        )
    begin = 4 + 4 * ndim
    if len(content) < begin:
        raise DataError(
            f"{name} is truncated: {len(content)} bytes, but the header of {ndim} dimensions has {begin}"
        )
    shape = struct.unpack_from(f">{ndim}I", content, 4)
    dtype = np.dtype(DTYPES[code])
    expected = begin + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        problem = "is truncated" if len(content) < expected else "has bytes after its end"
        raise DataError(
            f"{name} {problem}: its header announces shape {shape} of {dtype.name}, {expected:,} bytes in all, "
            f"but it has {len(content):,}"
        )
    try:
        values = np.frombuffer(content, dtype, offset=begin).reshape(shape)
    except ValueError as error:  # too many dimensions, or sizes whose product is 0 and yet too large
        raise DataError(
            f"{name} is damaged: its header announces {ndim} dimensions {shape} ({error})"
        ) from None
    return values.astype(dtype.newbyteorder("="), copy=False)


def idx_bytes(values: npt.NDArray) -> bytes:
    """The IDX file that holds `values`, the inverse of `parse_idx`; for the types in `DTYPES` only.

    >>> idx_bytes(np.array([7, 2, 1], np.uint8)).hex(" ")
    '00 00 08 01 00 00 00 03 07 02 01'
    """
    big_endian = values.astype(values.dtype.newbyteorder(">"), copy=False)
    if big_endian.dtype not in _CODES:
        raise DataError(
            f"IDX has no type for {values.dtype}; it has {', '.join(dtype.name for dtype in _CODES)}"
        )
    header = struct.pack(f">HBB{values.ndim}I", 0, _CODES[big_endian.dtype], values.ndim, *values.shape)
    return header + big_endian.tobytes()


def read_idx(path: str | os.PathLike[str]) -> npt.NDArray:
    """The array in an IDX file, gzip-compressed if its name ends in `.gz`; writable.

    Raises DataError when the file is missing, unreadable, damaged or no IDX file.
    """
    path = Path(path)
    return parse_idx(bytearray(gunzip(path) if path.suffix == ".gz" else read_file(path)), str(path))


def read_file(path: Path) -> bytes:
    """The bytes of a file; DataError if it is missing or may not be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None


def gunzip(path: Path) -> bytes:
    """What a gzip file holds; DataError if it is missing or damaged."""
    try:
        return gzip.decompress(read_file(path))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged: it does not decompress ({error})") from None
