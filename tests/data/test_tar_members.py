"""Files out of archives that may mean harm."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from minigrad.data.tar_members import read_members
from minigrad.errors import DataError

SIZES = {"a.bin": 5, "b.bin": 3}


def pack(path: Path, *members: tuple[str, bytes | None, dict]) -> Path:
    """An archive of members (name, content, attributes of the entry)."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content, attributes in members:
            member = tarfile.TarInfo(name)
            member.size = len(content or b"")
            for attribute, value in attributes.items():
                setattr(member, attribute, value)
            archive.addfile(member, io.BytesIO(content) if content is not None else None)
    return path


GOOD = [("folder/a.bin", b"aaaaa", {}), ("folder/b.bin", b"bbb", {})]


def test_wanted_files_come_in_the_archives_order_from_any_folder(tmp_path):
    archive = pack(tmp_path / "x.tar.gz", GOOD[1], ("other.txt", b"?", {}), ("deep/er/a.bin", b"aaaaa", {}))
    assert list(read_members(archive, SIZES)) == [("b.bin", b"bbb"), ("a.bin", b"aaaaa")]


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "folder/../../escaped"])
def test_nothing_is_written_anywhere(tmp_path, name):
    inner = tmp_path / "inner"
    inner.mkdir()
    link = ("link", None, {"type": tarfile.SYMTYPE, "linkname": "/"})
    archive = pack(inner / "x.tar.gz", link, (name, b"evil", {}), (f"{name}/a.bin", b"aaaaa", {}), GOOD[1])
    assert dict(read_members(archive, SIZES)) == {"a.bin": b"aaaaa", "b.bin": b"bbb"}
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", "x.tar.gz"]


@pytest.mark.parametrize(
    "members, said",
    [
        ([GOOD[0]], r"lacks b\.bin"),
        ([GOOD[0], GOOD[0], GOOD[1]], r"has a\.bin twice"),
        ([("a.bin", b"aaaaaa", {}), GOOD[1]], "a file of 6 bytes, expected a file of 5 bytes"),
        ([("a.bin", None, {"type": tarfile.SYMTYPE, "linkname": "b.bin"}), GOOD[1]], "no plain file"),
        ([("a.bin", None, {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd", "size": 5})], "no plain file"),
        ([("a.bin", None, {"type": tarfile.DIRTYPE}), GOOD[1]], "no plain file"),
        ([("a.bin", None, {"type": tarfile.CHRTYPE}), GOOD[1]], "no plain file"),
        ([], "lacks a.bin, b.bin"),
    ],
)
def test_what_is_not_as_wanted_is_refused(tmp_path, members, said):
    with pytest.raises(DataError, match=said):
        list(read_members(pack(tmp_path / "x.tar.gz", *members), SIZES))


def test_a_checksum_after_the_last_file_counts(tmp_path):
    archive = pack(tmp_path / "x.tar.gz", *GOOD)
    content = bytearray(archive.read_bytes())
    content[-8] ^= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match="CRC"):
        list(read_members(archive, SIZES))


def test_a_huge_size_is_refused_before_it_is_read(tmp_path):
    member = tarfile.TarInfo("a.bin")
    member.size = 10**12
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(gzip.compress(member.tobuf() + bytes(2048)))
    with pytest.raises(DataError, match="1,000,000,000,000 bytes"):
        list(read_members(archive, SIZES))


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.tar\.gz: there is no such file"):
        list(read_members(tmp_path / "absent.tar.gz", SIZES))
    with pytest.raises(DataError, match=r"damaged or no \.tar\.gz"):
        list(read_members(tmp_path, SIZES))


@pytest.mark.parametrize("content", [b"", b"text", gzip.compress(b""), gzip.compress(b"text" * 300)])
def test_other_files_are_no_archives(tmp_path, content):
    (tmp_path / "x.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"damaged or no \.tar\.gz|lacks"):
        list(read_members(tmp_path / "x.tar.gz", SIZES))
