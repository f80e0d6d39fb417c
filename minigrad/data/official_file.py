"""A data set's files as their authors published them: how a copy is recognised, bit for bit, and fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minigrad.data.cache import move_aside, write_whole
from minigrad.data.download import SourcesFailedError, fetch
from minigrad.data.idx import gunzip, read_file


@dataclass(frozen=True)
class OfficialFile:
    """One file: its name without `.gz`, and what its authors' copy is known by."""

    name: str
    sha256: str  # of the contents
    gz_md5: str
    gz_size: int

    def is_content(self, content: bytes) -> bool:
        """Whether these bytes are the file's contents."""
        return hashlib.sha256(content).hexdigest() == self.sha256


OfficialFiles = Mapping[tuple[str, str], OfficialFile]  # by split and kind: ("train", "images")


def read_official(folder: Path, files: OfficialFiles, split: str) -> dict[str, bytes] | None:
    """The contents of the split's "images" and "labels" files in `folder`, or None unless both are official.

    A damaged one is named and moved aside.
    """
    contents = {}
    for kind in ("images", "labels"):
        path = folder / files[split, kind].name
        if not path.exists():
            continue
        content = read_file(path)
        if files[split, kind].is_content(content):
            contents[kind] = content
        else:
            move_aside(path, "its sha256 is not the official one")
    return contents if len(contents) == 2 else None


def fetch_official(file: OfficialFile, mirrors: Sequence[str], folder: Path, progress: bool) -> None:
    """Bring one file into `folder`, unpacked, from the first mirror that has it; SourcesFailedError if none has."""
    packed_name = file.name + ".gz"
    sources = [mirror + packed_name for mirror in mirrors]
    checksum = f"md5:{file.gz_md5}"
    packed = fetch(packed_name, sources, folder, checksum=checksum, size=file.gz_size, progress=progress)
    content = gunzip(packed)
    if not file.is_content(content):  # only a file forged to have the same MD5 comes here
        failure = f"{move_aside(packed, 'its contents are not the official ones')}: not the official contents"
        raise SourcesFailedError(failure, [failure])
    write_whole(folder / file.name, content)
    packed.unlink()
