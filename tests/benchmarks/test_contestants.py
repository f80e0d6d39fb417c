"""Who takes part, who is missing, and what is said about it."""

from __future__ import annotations

import os
import sys

import pytest
from peers import contestants
from peers.contestants import CONTESTANTS, PEERS, Contestant, installed, interpreters, missing

from minigrad.errors import ArgumentError, MinigradError

BY_NAME = {contestant.name: contestant for contestant in CONTESTANTS}


def test_names_are_told_apart():
    assert len(BY_NAME) == len(CONTESTANTS)
    assert PEERS[0] == "minigrad"
    assert {"pytorch", "jax", "tinygrad", "mygrad", "chainer"} < set(PEERS)


def test_a_peer_may_have_an_interpreter_of_its_own():
    chosen = interpreters([f"chainer={sys.executable}"])
    assert chosen["chainer"] == os.path.abspath(sys.executable)
    assert chosen["jax"] == sys.executable


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nobody=python", "a peer of minigrad"),
        ("chainer", "PEER=PATH"),
        ("chainer=/no/such/python", "there is no program '/no/such/python'"),
        ("chainer=", "there is no program ''"),
    ],
)
def test_bad_interpreters_are_refused(text, message):
    with pytest.raises(ArgumentError, match=message):
        interpreters([text])


def test_what_is_installed_is_asked_without_importing_it():
    here = Contestant("Here", "here", "minigrad", "minigrad", "")
    nowhere = Contestant("Nowhere", "nowhere", "no_such_library", "no-such-library", "")
    pythons = dict.fromkeys(("here", "nowhere"), sys.executable)
    assert set(installed([here, nowhere], pythons)) == {"here"}


def test_an_interpreter_that_is_none_is_an_error():
    with pytest.raises(MinigradError, match="is no Python"):
        installed([BY_NAME["JAX"]], {"jax": "/bin/true"})


def test_missing_peers_are_listed_with_what_installs_them():
    for contestant in CONTESTANTS:
        assert "pip install" in missing(contestant, {})
    assert "requirements-chainer.txt" in missing(BY_NAME["Chainer"], {})
    assert missing(BY_NAME["JAX"], {"jax": "0.10"}) is None


def test_missing_compilers_are_told_too(monkeypatch):
    versions = dict.fromkeys(PEERS, "1")
    monkeypatch.setattr(contestants.shutil, "which", lambda program: None)
    assert "clang" in missing(BY_NAME["tinygrad"], versions)
    assert "g++" in missing(BY_NAME["torch.compile, NCHW"], versions)
    assert missing(BY_NAME["PyTorch, NCHW"], versions) is None
    monkeypatch.setattr(contestants.shutil, "which", lambda program: program)
    assert missing(BY_NAME["tinygrad"], versions) is None
