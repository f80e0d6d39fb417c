"""The two formats of checkpoint files, put together by hand: whole, damaged, and asking for more than they hold."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest

from minigrad import torch_file
from minigrad.errors import DataError
from tests.torch_checkpoints import archive, call, memory, of_state, pickled, stream, tensor, whole


@pytest.mark.parametrize("legacy", [True, False])
def test_a_state_dict(read, rng, legacy):
    state = {"a": rng.standard_normal((2, 3)), "b": rng.integers(0, 9, (4,)), "c": np.array(2.5, np.float32)}
    got = read(of_state(state, legacy))
    assert list(got) == list(state)
    for key, array in state.items():
        assert got[key].dtype == array.dtype
        assert np.array_equal(got[key].numpy(), array)


def test_files_of_machines_of_the_other_byte_order(read):
    array, flags = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([True, False])
    value = pickled({"x": whole("0", array), "flags": whole("1", flags)})
    swapped = {"0": array.byteswap().tobytes(), "1": flags.tobytes()}
    got = read(archive(value, swapped, {"byteorder": b"big"}))
    assert np.array_equal(got["x"].numpy(), array)
    assert got["flags"].tolist() == [True, False]
    sizes = {key: (len(content) // (4 if key == "0" else 1), content) for key, content in swapped.items()}
    assert np.array_equal(read(stream(value, sizes, little=False))["x"].numpy(), array)


def test_any_byte_but_0_is_true(read):
    value = pickled(tensor(memory("0", "BoolStorage", 4), (4,), (1,)))
    got = read(archive(value, {"0": bytes([0, 1, 2, 255])}))
    assert got.numpy().view(np.uint8).tolist() == [0, 1, 1, 1]


def test_the_stride_of_a_single_element_may_be_anything(read):
    value = tensor(memory("0", "FloatStorage", 3), (3, 1), (1, 2**61))
    assert read(archive(pickled(value), {"0": bytes(12)})).tolist() == [[0], [0], [0]]


def test_tensors_as_early_versions_wrote_them(read):
    """Weights published in 2017 are like this, and of a GPU's memory."""
    value = call("torch._utils._rebuild_tensor", memory("a", "cuda.FloatStorage", 2, None), 1, (1,), (1,))
    content = stream(pickled({"x": value}), {"a": (2, np.array([3, 4], np.float32).tobytes())})
    assert read(content)["x"].tolist() == [4]


def test_very_old_pickles_of_ordered_dictionaries(read):
    assert read(archive(pickled(call("collections.OrderedDict", [["a", 1], ["b", 2]])))) == {"a": 1, "b": 2}


class TestRoom:
    @pytest.mark.parametrize("numel", [5, 2**40, 2**61, 2**63, 2**70])
    def test_memory_that_the_file_does_not_have(self, read, numel):
        value = pickled(tensor(memory("0", "FloatStorage", numel), (1,), (1,)))
        for content in (archive(value, {"0": bytes(16)}), stream(value, {"0": (4, bytes(16))})):
            with pytest.raises(DataError, match=r"larger than the file|should have|not as many"):
                read(content)

    @pytest.mark.parametrize(
        ("size", "stride", "offset"),
        [((5,), (1,), 0), ((4,), (1,), 1), ((2, 2), (4, 1), 0), ((2,), (-1,), 3), ((4,), (1,), -1), ((-1,), (1,), 0),
         ((2,), (2**62,), 0), ((2**62,), (0,), 0), ((2**40, 2**40), (0, 0), 0), ((2**31,) * 3, (0,) * 3, 0),
         ((2**30, 0, 2**40), (0, 0, 0), 0), ((2, 2), (1,), 0), ((1,) * 65, (1,) * 65, 0), ((2.0,), (1,), 0),
         ((True,), (1,), 0), ((2**70,), (1,), 0), ([1], ["x"], 0), ("12", (1, 1), 0), ((1,), (1,), 2**61),
         ((2**28,), (0,), 0)],
    )  # fmt: skip
    def test_shapes_that_do_not_fit(self, read, size, stride, offset):
        value = pickled(tensor(memory("0", "FloatStorage", 4), size, stride, offset))
        for content in (archive(value, {"0": bytes(16)}), stream(value, {"0": (4, bytes(16))})):
            with pytest.raises(DataError, match="damaged"):
                read(content)


class TestArchives:
    value, contents = pickled({"x": tensor(memory("0", "FloatStorage", 2), (2,), (1,))}), {"0": bytes(8)}

    def refused(self, read, content: bytes, match: str) -> None:
        with pytest.raises(DataError, match=match):
            read(content)

    def test_an_intact_one(self, read):
        assert read(archive(self.value, self.contents))["x"].tolist() == [0, 0]
        assert read(archive(self.value, self.contents, folder=""))["x"].tolist() == [0, 0]

    def test_memory_missing_or_of_another_size(self, read):
        self.refused(read, archive(self.value), "memory '0' should have 8 bytes and is missing")
        self.refused(read, archive(self.value, {"0": bytes(9)}), "has 9 bytes")

    def test_one_memory_of_two_sizes_or_kinds(self, read):
        for other in (memory("0", "FloatStorage", 1), memory("0", "BoolStorage", 8)):
            value = pickled([memory("0", "FloatStorage", 2), other])
            self.refused(read, archive(value, self.contents), "two different sizes or kinds")

    def test_two_kinds_of_the_same_size(self, read):
        value = [whole("0", np.zeros(2, np.float32)), whole("0", np.zeros(2, np.int32))]
        x, y = read(archive(pickled(value), {"0": np.array([1, 2], np.int32).tobytes()}))
        assert y.tolist() == [1, 2]
        assert x.numpy().view(np.int32).tolist() == [1, 2]

    def test_another_kind_of_archive(self, read):
        self.refused(read, archive(self.value).replace(b"data.pkl", b"date.txt"), "0 entries NAME/data.pkl")
        self.refused(read, archive(self.value, others={"constants.pkl": b""}), "TorchScript")
        twice = io.BytesIO(archive(self.value))
        with zipfile.ZipFile(twice, "a") as packed:
            packed.writestr("other/data.pkl", b"")
        self.refused(read, twice.getvalue(), "2 entries")

    def test_the_byte_order(self, read):
        self.refused(
            read, archive(self.value, self.contents, {"byteorder": b"middle"}), "byte order is 'middle'"
        )

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_two_entries_of_the_same_name(self, read):
        twice = io.BytesIO(archive(self.value, self.contents))
        with zipfile.ZipFile(twice, "a") as packed:
            packed.writestr("weights/data.pkl", b"N.")
        self.refused(read, twice.getvalue(), "same name")

    def test_compressed_entries_could_be_bombs(self, read):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("weights/data.pkl", self.value)
            packed.writestr("weights/data/0", bytes(10_000_000))
        assert len(file.getvalue()) < 20_000
        self.refused(read, file.getvalue(), "compressed, which PyTorch never does")

    def test_overlapping_entries_could_be_bombs(self, read):
        """Two names for the same bytes: the directory's second entry points to where the first one is."""
        content = archive(self.value, {"0": bytes(8), "1": bytes(8)})
        places = {}
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for entry in packed.infolist():
                places[entry.filename] = entry.header_offset.to_bytes(4, "little")
        directory = content.index(b"PK\x01\x02")
        at = content.index(b"weights/data/1", directory) - 4  # the offset stands right before the name
        assert content[at : at + 4] == places["weights/data/1"]
        self.refused(
            read,
            content[:at] + places["weights/data/0"] + content[at + 4 :],
            r"overlap|cannot be (opened|read)",
        )

    def test_a_wrong_checksum(self, read):
        content = bytearray(archive(self.value, {"0": b"\x01\x02\x03\x04\x05\x06\x07\x08"}))
        content[content.index(b"\x01\x02\x03\x04\x05")] ^= 0x10
        self.refused(read, bytes(content), "CRC")

    def test_every_way_to_break_off(self, read):
        content = archive(self.value, self.contents)
        for n in range(0, len(content), 3):
            self.refused(read, content[:n], r"damaged|empty|no PyTorch checkpoint")


class TestStreams:
    value = pickled({"x": whole("a", np.zeros(2, np.float32), None)})

    def refused(self, read, content: bytes, match: str) -> None:
        with pytest.raises(DataError, match=match):
            read(content)

    def test_the_memory_listed_is_the_memory_used(self, read):
        for contents in ({}, {"b": (2, bytes(8))}, {"a": (2, bytes(8)), "b": (2, bytes(8))}):
            self.refused(read, stream(self.value, contents), "not the memory that its tensors lie in")
        listed_twice = stream(self.value, {"a": (2, bytes(8))}).replace(pickled(["a"]), pickled(["a", "a"]))
        self.refused(read, listed_twice, "not the memory")

    def test_another_number_of_elements(self, read):
        for numel in (1, 3, -1, 2**62):
            self.refused(read, stream(self.value, {"a": (numel, bytes(8))}), "not as many")

    def test_every_way_to_break_off(self, read):
        content = stream(self.value, {"a": (2, bytes(8))})
        assert read(content)["x"].tolist() == [0, 0]
        for n in range(len(content)):
            self.refused(read, content[:n], r"damaged|empty|no PyTorch checkpoint")

    def test_another_pickle(self, read):
        self.refused(read, pickle.dumps(1) + pickle.dumps(2), "none that torch.save has written")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "neither a zip archive nor a pickle"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"x" * 257 + b"ustar" + bytes(250), "tar archive"),
        (b"\x40\x00\x00\x00\x00\x00\x00\x00{}", r"safetensors file already.*mg\.load"),
    ],
)
def test_other_kinds_of_file_are_named(read, content, match):
    with pytest.raises(DataError, match=match):
        read(content)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        torch_file.read(tmp_path / "absent.pth")
    with pytest.raises(DataError, match="cannot read"):
        torch_file.read(tmp_path)
