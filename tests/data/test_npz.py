"""Archives of arrays that may be damaged."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from minigrad.data.npz import parse_npz
from minigrad.errors import DataError


def npz(**arrays: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def test_arrays_come_in_the_order_asked_for():
    content = npz(a=np.arange(3), b=np.ones((2, 2), np.uint8), c=np.zeros(1))
    arrays = parse_npz(content, "x.npz", ["b", "a"])
    assert list(arrays) == ["b", "a"]
    np.testing.assert_array_equal(arrays["a"], [0, 1, 2])
    assert arrays["b"].dtype == np.uint8


def zipped(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in members.items():
            archive.writestr(f"{name}.npy", member)
    return content.getvalue()


def single(array: np.ndarray, **options) -> bytes:
    content = io.BytesIO()
    np.save(content, array, **options)
    return content.getvalue()


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "damaged or no .npz file"),
        (b"text", "damaged or no .npz file"),
        (npz(a=np.arange(9))[:-5], "damaged or no .npz file"),
        (npz(b=np.arange(9)), "lacks the arrays a"),
        (single(np.arange(3)), "a single array"),
        (zipped(a=b"no array"), "a is no array"),
        (zipped(a=single(np.arange(3))[:-4]), "damaged or no .npz file"),
        (zipped(a=single(np.array([None]), allow_pickle=True)), "allow_pickle"),
    ],
)
def test_damage_is_described(content, said):
    with pytest.raises(DataError, match=said.replace(".", r"\.")) as caught:
        parse_npz(content, "x.npz", ["a"])
    assert str(caught.value).startswith("x.npz ")
