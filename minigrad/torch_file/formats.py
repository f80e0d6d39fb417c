"""The two kinds of file that torch.save has written: zip archives, and before version 1.6 one stream."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

from minigrad.errors import DataError
from minigrad.torch_file.machine import Source, damaged, quoted
from minigrad.torch_file.opcodes import run_pickle
from minigrad.torch_file.tensors import TensorBuilders

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_ENTRY_HEADER = 30  # bytes before an entry's name and contents
# Everything that Python's reader of archives raises over damaged ones
_ZIP_ERRORS = (zipfile.BadZipFile, RuntimeError, EOFError, ValueError, OverflowError, OSError, zlib.error)


def read(path: str | os.PathLike[str]) -> Any:
    """Everything that a file written by torch.save holds, without running any code in it.

    path: of a file in the zip format (PyTorch 1.6 and later) or in the older one.

    Returns dictionaries, lists, tuples, numbers, texts and bytes as they are, OrderedDicts as dictionaries, tensors and
    Parameters as tensors on the CPU; tensors that share memory in the file share it here. Anything else, such as the
    object of a class or a tensor of a dtype that minigrad lacks, becomes an `Opaque` that names it. Memory taken: about
    the size of the file.

    Raises DataError if the file is missing, damaged, of another kind, or made to do harm.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(512)
            file.seek(0)
            if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
                return _read_archive(file, size)
            return _read_stream(file, size, start)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


# ------------------------------------------------ zip archives


def _read_archive(file: IO[bytes], size: int) -> Any:
    """`NAME/data.pkl`, and for each piece of memory `NAME/data/KEY`; stored as they are, one behind the other."""
    try:
        archive = zipfile.ZipFile(file)
        entries = {entry.filename: entry for entry in archive.infolist()}
    except _ZIP_ERRORS as error:
        raise damaged(f"its archive cannot be opened ({quoted(error)})") from error
    if len(entries) != len(archive.infolist()):
        raise damaged("two entries of its archive have the same name")
    _check_entries(list(entries.values()), size)
    pickles = [name for name in entries if name == "data.pkl" or name.partition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise DataError(f"the archive has {len(pickles)} entries NAME/data.pkl; a PyTorch checkpoint has one")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in entries:
        raise DataError(
            "this is a TorchScript program, not a file of weights; in PyTorch, "
            "torch.save(torch.jit.load(path).state_dict(), new_path) makes one"
        )
    order = (
        _read_entry(archive, entries[f"{folder}byteorder"]) if f"{folder}byteorder" in entries else b"little"
    )
    if order not in (b"little", b"big"):
        raise damaged(f"its byte order is {quoted(order.decode('latin-1'))}")

    builders = TensorBuilders(size)
    pickled = _read_entry(archive, entries[pickles[0]])
    value = run_pickle(Source(io.BytesIO(pickled), len(pickled)), builders.table(), builders.persistent)
    for key, memory in builders.memories.items():
        entry = entries.get(f"{folder}data/{key}")
        if entry is None or entry.file_size != len(memory.raw):
            held = "is missing" if entry is None else f"has {entry.file_size:,} bytes"
            raise damaged(f"memory {quoted(key)} should have {len(memory.raw):,} bytes and {held}")
        memory.raw[:] = memoryview(_read_entry(archive, entry))
        memory.finish(swap=order == b"big")
    return value


def _check_entries(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse what would unpack to more than the file's size: compressed and overlapping entries."""
    end = 0
    for entry in sorted(entries, key=lambda e: e.header_offset):
        if entry.compress_type != zipfile.ZIP_STORED:
            raise DataError(
                f"entry {quoted(entry.filename)} of the archive is compressed, which PyTorch never does; "
                "unpack it and pack it again without compression (zip -0)"
            )
        if entry.header_offset < end:
            raise damaged("entries of its archive overlap")
        end = entry.header_offset + _ENTRY_HEADER + entry.file_size
        if end > size or entry.file_size != entry.compress_size:
            raise damaged(f"entry {quoted(entry.filename)} of its archive has an impossible size")


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The contents of an entry; its checksum is compared."""
    try:
        return archive.read(entry)
    except _ZIP_ERRORS as error:
        raise damaged(
            f"entry {quoted(entry.filename)} of its archive cannot be read ({quoted(error)})"
        ) from error


# ------------------------------------------------ the stream before it


def _read_stream(file: IO[bytes], size: int, start: bytes) -> Any:
    """Five pickles (magic number, version, machine, value, keys), then each key's memory, preceded by its length."""
    _refuse_other_kinds(start)
    source = Source(file, size)
    builders = TensorBuilders(size)
    magic, protocol = _plain(source), _plain(source)
    if magic != _LEGACY_MAGIC or protocol != _LEGACY_PROTOCOL:
        raise DataError(
            "this is a pickle, but none that torch.save has written; in PyTorch, torch.save(value, path) makes one"
        )
    machine = _plain(source)
    little = machine.get("little_endian") if isinstance(machine, dict) else None
    if type(little) is not bool:
        raise damaged("it does not say on what kind of machine it was written")
    value = run_pickle(source, builders.table(), builders.persistent)
    keys = _plain(source)
    if type(keys) is not list or any(type(key) is not str for key in keys):
        raise damaged("it has no list of the memory in it")
    if sorted(keys) != sorted(builders.memories):
        raise damaged("the memory in it is not the memory that its tensors lie in")
    for key in keys:
        memory = builders.memories[key]
        numel = source.number("<q" if little else ">q")
        if numel * memory.itemsize != len(memory.raw):
            raise damaged(f"memory {quoted(key)} has {numel:,} elements, and not as many as its tensors say")
        memory.raw[:] = memoryview(source.read(len(memory.raw)))
        memory.finish(swap=not little)
    return value


def _plain(source: Source) -> Any:
    """A pickle without tensors."""
    return run_pickle(source, {}, _no_memory)


def _no_memory(reference: Any) -> Any:
    raise damaged("its pickle refers to memory where there is none")


def _refuse_other_kinds(start: bytes) -> None:
    """Say what a file is, where that can be told from its first bytes."""
    if not start:
        raise DataError("the file is empty")
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 32:
        raise DataError("this is a safetensors file already; read it with mg.load(path)")
    if start[257:262] == b"ustar":
        raise DataError(
            "this is a tar archive, as PyTorch wrote them before version 0.1.10; load it with PyTorch and save it again"
        )
    if start.startswith(b"\x89HDF"):
        raise DataError("this is an HDF5 file (Keras, for one), not a PyTorch checkpoint")
    if start[:1] not in (b"\x80", b"L", b"I"):
        raise DataError("this is no PyTorch checkpoint: neither a zip archive nor a pickle")
