"""TensorBoard's event files: records with checksums, of messages in Protocol Buffers' encoding.

The file is a row of records: length (uint64), its masked CRC-32C (uint32), the message, its masked CRC-32C (all
little-endian). The messages and their fields' numbers are those of TensorFlow's event.proto and summary.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np

_POLYNOMIAL = 0x82F63B78  # of CRC-32C (Castagnoli), its bits reversed


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli) of some bytes (RFC 3720, appendix B.4).

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 255] ^ value >> 8
    return value ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """The checksum as the format stores it: rotated right by 15 bits, and moved by a constant."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def write_record(file: BinaryIO, message: bytes) -> None:
    """Append a record."""
    length = struct.pack("<Q", len(message))
    file.write(length + struct.pack("<I", masked(crc32c(length))))
    file.write(message + struct.pack("<I", masked(crc32c(message))))


def version_event(time: float) -> bytes:
    """The event that a file begins with."""
    return _double(1, time) + _bytes(3, b"brain.Event:2")


def event(time: float, step: int, values: Iterable[bytes]) -> bytes:
    """An event of values at a step; `time` in seconds since 1970."""
    summary = b"".join(_bytes(1, value) for value in values)
    return _double(1, time) + _whole(2, step) + _bytes(5, summary)


def scalar(tag: str, value: float) -> bytes:
    """A value of one number (float32)."""
    with np.errstate(over="ignore"):
        return _bytes(1, tag.encode()) + b"\x15" + np.float32(value).astype("<f4").tobytes()


def histogram(tag: str, edges: np.ndarray, counts: np.ndarray) -> bytes:
    """A value of a histogram with edges (bins + 1,) and counts (bins,).

    The format wants sums and sums of squares too; they are those of the bins' middles.
    """
    edges, counts = np.asarray(edges, "<f8"), np.asarray(counts, "<f8")
    middles = (edges[1:] + edges[:-1]) / 2
    numbers = (edges[0], edges[-1], counts.sum(), counts @ middles, counts @ middles**2)
    message = b"".join(_double(field, number) for field, number in enumerate(numbers, 1))
    message += _bytes(6, edges[1:].tobytes()) + _bytes(7, counts.tobytes())
    return _bytes(1, tag.encode()) + _bytes(5, message)


# ------------------------------------------------ Protocol Buffers: a field's key is its number and its type


def _varint(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    result.append(value)
    return bytes(result)


def _whole(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
