"""Downloads against a server that misbehaves."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from minigrad.data.download import SourcesFailedError, fetch
from minigrad.errors import DataError

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes: several pieces
OTHER = bytes(reversed(CONTENT))


def checksum(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def get(sources: list[str], folder: Path, content: bytes = CONTENT, **options) -> Path:
    options = {"checksum": checksum(content), "size": len(content), "progress": False, **options}
    return fetch("file.bin", sources, folder, **options)


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
@pytest.mark.parametrize("size", [len(CONTENT), None])
@pytest.mark.parametrize("says_length", [True, False])
def test_a_file_arrives_whole_and_alone(server, tmp_path, algorithm, size, says_length):
    url = server.add("a", CONTENT, says_length=says_length)
    path = get([url], tmp_path / "new" / "folder", size=size, checksum=checksum(CONTENT, algorithm))
    assert path == tmp_path / "new" / "folder" / "file.bin"
    assert path.read_bytes() == CONTENT
    assert sorted(p.name for p in path.parent.iterdir()) == [".file.bin.lock", "file.bin"]


def test_a_right_file_is_not_fetched_again(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(CONTENT)
    assert get([server.address("a")], tmp_path).read_bytes() == CONTENT
    assert server.requests == []
    assert [p.name for p in tmp_path.iterdir()] == [
        "file.bin"
    ]  # not even a lock: the folder may be read-only


def test_sources_are_tried_in_turn_and_the_first_good_one_wins(server, tmp_path, refused_address):
    good = server.add("good", CONTENT)
    sources = [
        refused_address,
        server.address("absent"),
        server.add("wrong", OTHER),
        good,
        server.add("late", CONTENT),
    ]
    assert get(sources, tmp_path).read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["absent", "wrong", "good"]


def test_the_error_names_every_source_and_its_reason(server, tmp_path, refused_address):
    slow = server.add("slow", CONTENT, delay=1.0)
    broken = server.add("broken", CONTENT, status=503)
    wrong, long = server.add("wrong", OTHER), server.add("long", CONTENT + b"more")
    endless = server.add("endless", CONTENT + b"more", says_length=False)
    sources = [refused_address, server.address("absent"), broken, slow, wrong, long, endless]
    with pytest.raises(SourcesFailedError) as caught:
        get(sources, tmp_path, connect_timeout=0.3)
    failures = caught.value.failures
    assert [line.split(": ")[0] for line in failures] == sources
    reasons = ["refused", "404", "503", "no answer within 0.3 s", "sha256 is", "512,004 bytes", "more than"]
    for line, reason in zip(failures, reasons, strict=True):
        assert reason in line
        assert line in str(caught.value)
    assert not (tmp_path / "file.bin").exists()


def test_failures_and_progress_are_shown_on_standard_error(server, tmp_path, capsys):
    get([server.address("absent"), server.add("good", CONTENT)], tmp_path, progress=True)
    shown = capsys.readouterr()
    assert f"could not download {server.address('absent')}: the server answers 404" in shown.err
    assert "file.bin: 100%" in shown.err
    assert shown.out == ""


def test_silence_when_told_to(server, tmp_path, capsys):
    get([server.address("absent"), server.add("good", CONTENT)], tmp_path)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_partial_file_is_resumed(server, tmp_path, size):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:300_000])
    assert get([server.add("a", CONTENT)], tmp_path, size=size).read_bytes() == CONTENT
    assert server.requests == [("a", "bytes=300000-")]
    assert not (tmp_path / "file.bin.part").exists()


def test_a_server_without_ranges_sends_all_of_it(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:300_000])
    assert get([server.add("a", CONTENT, ranges=False)], tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_server_that_answers_another_range_is_not_trusted(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:300_000])
    liar, honest = server.add("liar", CONTENT, lies_about_range=True), server.add("honest", CONTENT)
    assert get([liar, honest], tmp_path).read_bytes() == CONTENT
    assert server.requests == [("liar", "bytes=300000-"), ("honest", None)]


def test_a_partial_file_of_other_content_gets_a_fresh_start(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(OTHER[:300_000])
    assert get([server.add("a", CONTENT)], tmp_path).read_bytes() == CONTENT
    assert server.requests == [("a", "bytes=300000-"), ("a", None)]


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_partial_file_longer_than_the_whole_gets_a_fresh_start(server, tmp_path, size):
    (tmp_path / "file.bin.part").write_bytes(CONTENT + b"more")
    assert get([server.add("a", CONTENT)], tmp_path, size=size).read_bytes() == CONTENT
    assert server.requests[-1] == ("a", None)


def test_a_complete_partial_file_needs_no_network(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert get([server.address("absent")], tmp_path).read_bytes() == CONTENT
    assert server.requests == []


@pytest.mark.parametrize("ranges", [True, False])
def test_connections_that_break_off_are_taken_up_again(server, tmp_path, ranges):
    url = server.add("a", CONTENT, cuts=[100_000, 150_000], ranges=ranges)
    assert get([url], tmp_path).read_bytes() == CONTENT
    resumed = [None, "bytes=100000-", "bytes=250000-" if ranges else "bytes=150000-"]
    assert [asked for _, asked in server.requests] == resumed


def test_a_connection_that_stalls_is_taken_up_again(server, tmp_path):
    url = server.add("a", CONTENT, stall=1.0)
    threading.Timer(0.5, lambda: setattr(server.pages["a"], "stall", 0.0)).start()
    begin = time.monotonic()
    assert get([url], tmp_path, read_timeout=0.6).read_bytes() == CONTENT
    assert time.monotonic() - begin < 5
    assert server.requests[1][1] is not None


def test_what_came_is_kept_for_the_next_time_and_the_next_source(server, tmp_path):
    url = server.add("a", CONTENT, cuts=[1000, 0])
    with pytest.raises(SourcesFailedError, match=r"broke off after 1,000 of 512,000 bytes") as caught:
        get([url], tmp_path)
    assert "1,000 bytes that came are kept" in str(caught.value)
    assert get([server.add("b", CONTENT)], tmp_path).read_bytes() == CONTENT
    assert server.requests[-1] == ("b", "bytes=1000-")


def test_a_source_that_always_breaks_off_is_given_up(server, tmp_path):
    url = server.add("a", CONTENT, cuts=[10] * 100)
    with pytest.raises(SourcesFailedError, match="broke off"):
        get([url], tmp_path)
    assert len(server.requests) == 4


@pytest.mark.parametrize("damage", [OTHER, CONTENT[:-1], b""])
def test_a_damaged_file_is_named_moved_aside_and_fetched_again(server, tmp_path, capsys, damage):
    (tmp_path / "file.bin").write_bytes(damage)
    (tmp_path / "file.bin.corrupt").write_bytes(b"an earlier one")
    assert get([server.add("a", CONTENT)], tmp_path).read_bytes() == CONTENT
    assert (tmp_path / "file.bin.corrupt2").read_bytes() == damage
    assert (tmp_path / "file.bin.corrupt").read_bytes() == b"an earlier one"
    message = capsys.readouterr().err
    assert str(tmp_path / "file.bin") in message
    assert "damaged" in message
    assert "file.bin.corrupt2" in message


def test_a_silent_host_costs_no_more_than_the_time_given(server, tmp_path):
    begin = time.monotonic()
    with pytest.raises(SourcesFailedError, match="no answer"):
        get([server.add("a", CONTENT, delay=1.5)], tmp_path, connect_timeout=0.2)
    assert time.monotonic() - begin < 1.0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is always full is a Linux device")
def test_a_full_disk_is_named_and_no_other_source_is_tried(server, tmp_path):
    (tmp_path / "file.bin.part").symlink_to("/dev/full")
    with pytest.raises(DataError, match="disk is full") as caught:
        get([server.add("a", CONTENT), server.add("b", CONTENT)], tmp_path)
    assert not isinstance(caught.value, SourcesFailedError)
    assert "MINIGRAD_DATA" in str(caught.value)
    assert len(server.requests) == 1


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "taken").write_bytes(b"a file")
    with pytest.raises(DataError, match="taken") as caught:
        get([server.add("a", CONTENT)], tmp_path / "taken" / "folder")
    assert "MINIGRAD_DATA" in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize(
    "sources, expected, said",
    [
        (["http://127.0.0.1/a"], "crc32:00", "'crc32:00'"),
        (["http://127.0.0.1/a"], "md5:XYZ", "'md5:XYZ'"),
        (["file:///etc/hostname"], "md5:00", "http or https"),
        ([], "md5:00", "no source"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, sources, expected, said):
    with pytest.raises(DataError, match=said):
        fetch("file.bin", sources, tmp_path, checksum=expected)


def _fetch_in_child(url: str, folder: Path) -> None:
    get([url], folder)


def test_two_processes_that_want_one_file_fetch_it_once(server, tmp_path):
    url = server.add("a", CONTENT, stall=0.5)
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_fetch_in_child, args=(url, tmp_path)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert len(server.requests) == 1
