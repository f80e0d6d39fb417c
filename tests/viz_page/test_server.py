"""Who is answered, what is given out, and that nothing of a run is changed."""

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from minigrad.errors import ArgumentError, DataError
from minigrad.viz.page import PageServer
from minigrad.viz.page.bundle import plotly_path
from minigrad.viz.page.command import main
from tests.viz_page.runs import Hand

pytestmark = pytest.mark.usefixtures("without_plotly")

PATHS = [
    "/record.sqlite",
    "/../record.sqlite",
    "/..%2frecord.sqlite",
    "/assets/page.js",
    "//etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/page.js/../../server.py",
    "/graphs/",
    "/snapshots",
    "/api/",
    "/api/heat?run=0",
    "/api/lines?run=9",
    "/api/lines?run=-1",
    "/api/lines?run=x",
    "/api/lines?after=1e9",
    "/graph?step=../../x",
    "/graph?run=0&step=0",
    "/\\..\\record.sqlite",
    "/index.html",
]


def ask(server, path, host=None, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    host = f"127.0.0.1:{server.server_port}" if host is None else host
    for name, value in {"Host": host, **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def test_the_page_and_its_policy(recorded, serve):
    server = serve(recorded)
    answer, content = ask(server, "/")
    assert answer.status == 200
    assert b"<title>first" in content
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'self';" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/page.js", "/page.css", "/plotly.min.js", "/api/state", "/api/structure", "/api/lines"):
        assert ask(server, path)[0].status == 200, path


def test_only_this_machine_is_listened_to(recorded, serve):
    server = serve(recorded)
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost:1", "127.0.0.1.evil.example:{port}", ""],
)
def test_another_name_is_refused(recorded, serve, host):
    server = serve(recorded)
    answer, content = ask(server, "/api/state", host=host.format(port=server.server_port))
    assert answer.status == 421
    assert b"loss" not in content


@pytest.mark.parametrize("host", ["localhost:{port}", "[::1]:{port}", "LocalHost:{port}"])
def test_names_of_this_machine_are_fine(recorded, serve, host):
    server = serve(recorded)
    assert ask(server, "/", host=host.format(port=server.server_port))[0].status == 200


@pytest.mark.parametrize("path", PATHS)
def test_no_address_leads_to_a_file(recorded, serve, path):
    answer, content = ask(serve(recorded), path)
    assert answer.status == 404
    assert b"SQLite" not in content
    assert b"root:" not in content


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_only_get(recorded, serve, method):
    server = serve(recorded)
    answer, _ = ask(server, "/api/state", method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")
    assert ask(server, "/api/state")[0].status == 200


def test_what_is_not_recorded_is_said(recorded, serve):
    server = serve(recorded)
    for path in (
        "/api/heat?what=norm&kind=elephant",
        "/api/units?kind=weight&name=../x&what=dead",
        "/api/influence?method=magic",
    ):
        answer, content = ask(server, path)
        assert answer.status == 200
        assert "missing" in json.loads(content), path


def test_the_same_is_not_sent_twice(recorded, serve):
    server = serve(recorded)
    answer, _ = ask(server, "/api/lines")
    again, content = ask(server, "/api/lines", **{"If-None-Match": answer.headers["ETag"]})
    assert (again.status, content) == (304, b"")


def test_a_graph_comes_in_a_box(recorded, serve):
    answer, content = ask(serve(recorded), "/graph?run=0&step=5")
    assert answer.status == 200
    assert b"first, step 5" in content
    assert "sandbox allow-scripts" in answer.headers["Content-Security-Policy"]
    assert "allow-same-origin" not in answer.headers["Content-Security-Policy"]


def test_nothing_of_the_run_is_changed(recorded, serve):
    def marks():
        files = sorted(path for path in recorded.rglob("*") if path.is_file())
        return {
            path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files
        }

    before = marks()
    server = serve(recorded)
    for path in (
        "/api/state",
        "/api/structure",
        "/api/lines",
        "/api/heat?what=norm&kind=weight",
        "/graph?step=1",
    ):
        assert ask(server, path)[0].status == 200
    assert marks() == before


def test_a_live_run_and_its_polling(tmp_path, serve):
    hand = Hand(tmp_path / "live")
    hand.steps(1, 10)
    server = serve(hand.folder)
    assert json.loads(ask(server, "/api/state")[1])["last"] == 9
    hand.steps(10, 20)
    assert json.loads(ask(server, "/api/state")[1])["last"] == 19
    fresh = json.loads(ask(server, "/api/lines?after=9&width=1")[1])
    assert fresh["series"]["loss"][0] == list(range(9, 20))
    hand.writer.close()


def test_a_run_whose_process_was_killed(tmp_path, serve):
    code = (
        "import os, signal, sys; from pathlib import Path; from tests.viz_page.runs import Hand; "
        "hand = Hand(Path(sys.argv[1])); hand.steps(1, 30); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "killed")],
        timeout=120,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert done.returncode == -signal.SIGKILL
    state = json.loads(ask(serve(tmp_path / "killed"), "/api/state")[1])
    assert (state["last"], state["finished"]) == (29, None)


def test_an_idle_connection_harms_nobody(recorded, serve):
    server = serve(recorded)
    with socket.create_connection(("127.0.0.1", server.server_port)) as silent:
        silent.sendall(b"GET / HT")
        assert ask(server, "/api/state")[0].status == 200


def test_clear_errors(tmp_path, recorded, capsys):
    with pytest.raises(DataError, match="no recorded run"):
        PageServer([tmp_path])
    with pytest.raises(ArgumentError, match="two beside one another; got 3"):
        PageServer([recorded] * 3)
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), "--no-browser"])
    assert ended.value.code == 2
    assert "no recorded run" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(recorded), "--port", "70000"])
    assert "65535" in capsys.readouterr().err


def test_without_plotly_one_sentence_tells_what_to_do(monkeypatch):
    monkeypatch.setattr("minigrad.viz.page.bundle.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r'pip install "minigrad\[page\]"'):
        plotly_path()
