import http.client
import re
import threading

import pytest

from textspot.benchmark import service_load
from textspot.benchmark.service_load import Clients, Load, RunningService, read_bodies
from textspot.cli import benchmark_service


class Service:
    """Counts as a service that was started; what is asked of it is in `asked`."""

    port, pid = 1, "self"

    def __init__(self):
        self.killed = threading.Event()

    def kill(self):
        self.killed.set()

    def cpu_s(self):
        return 1.0

    def open_files(self):
        return 5


@pytest.fixture
def answers(monkeypatch):
    """Answers by body; an exception is raised."""
    answers, service = {}, Service()

    def ask(_port, _method, _path, body):
        answer = answers[body]
        if callable(answer):
            answer = answer(service)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(service_load, "ask", ask)
    return answers, service


def test_answers_are_compared_and_failures_counted(answers):
    given, service = answers
    given |= {b"a": (200, b"A"), b"b": (200, b"B"), b"c": http.client.BadStatusLine("x"), b"d": ConnectionResetError()}
    load = Clients(service, [b"a", b"b", b"c", b"d"], [(200, b"A"), (200, b"A"), (200, b""), (200, b"")], 1).run(9, 8)
    assert (load.different, load.failed, load.cut_off) == ([1, 5], [2, 3, 6, 7], [])
    assert len(load.seconds) == len(load.memory) == 4
    assert load.open_files == (5, 5)


def test_what_the_kill_cuts_off_is_no_failure(answers):
    given, service = answers

    def hang(one):
        assert one.killed.wait(10)
        return ConnectionResetError()

    given[b"a"] = hang
    load = Clients(service, [b"a"], [(200, b"")], 3).run(0.1, kill=True)
    assert (len(load.cut_off), load.failed) == (3, [])


def test_rows():
    load = Load([0.1] * 99 + [2.0], [2**20] * 100, [1], [], [3, 4], wall_s=50, cpu_s=5, open_files=(7, 8))
    assert load.rows() == [
        ("requests", "100 in 50 s"),
        ("requests per second", "2.0"),
        ("median, p99", "100, 119 ms"),
        ("processor time per request", "50 ms"),
        ("failed", "0"),
        ("answers that differ from those to a single client", "1"),
        ("cut off by the kill", "2"),
        ("memory at the start, in the middle, at the end", "1, 1, 1 MiB"),
        ("open files before, after", "7, 8"),
    ]


def test_uploads_that_are_refused_are_among_the_bodies(files):
    bodies = read_bodies(files)
    assert bodies[:-2] == [file.read_bytes() for file in files]
    assert bodies[0].startswith(bodies[-2])
    assert bodies[-1] == b"no image"


def test_the_exit_status_says_whether_all_were_right(capsys):
    right = Load([0.1] * 5, [1] * 5, wall_s=1)
    assert benchmark_service.report({"before": right, "after": right}) == 0
    assert re.match(
        r"\| \| before \| after \|\n\|---\|---\|---\|\n\| requests \| 5 in 1 s \| 5 in 1 s \|", capsys.readouterr().out
    )
    assert benchmark_service.report({"": Load([0.1] * 5, [1] * 5, different=[3], wall_s=1)}) == 1
    assert benchmark_service.report({"": Load([0.1] * 5, [1] * 5, failed=[3], wall_s=1)}) == 1


def test_a_service_that_does_not_start(monkeypatch):
    monkeypatch.setattr(service_load.sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="the service did not start: /bin/false -m textspot serve"):
        RunningService([]).start()


@pytest.mark.parametrize("restart", [True, False])
def test_the_verb(files, monkeypatch, capsys, restart):
    """How many of which images are sent, to how many services, started how."""
    bodies, started = [], []

    class Fake(Service):
        def __init__(self, arguments):
            super().__init__()
            started.append(arguments)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def start(self):
            started.append("again")

    def ask(_port, _method, _path, body):
        bodies.append(body)
        return 200, body

    monkeypatch.setattr(benchmark_service, "RunningService", Fake)
    monkeypatch.setattr(benchmark_service, "ask", ask)
    monkeypatch.setattr(service_load, "ask", ask)
    options = ["--images", files[0].parent, "--num_images", 2, "--clients", 3, "--requests", 12, "--seconds", 9]
    options += ["--weights", "w", "--num_threads", 1, "--restart", str(restart).lower()]
    monkeypatch.setattr(Fake, "kill", lambda _: None)
    assert benchmark_service.main(list(map(str, options))) == 0
    assert started == [["--weights", "w", "--num_threads", "1", "--limits.queue", "3"], *["again"] * restart]
    assert (len(bodies), len(set(bodies))) == (4 + 12, 4)
    assert ("after it" in capsys.readouterr().out) == restart


def test_a_folder_without_images(tmp_path, capsys):
    assert benchmark_service.main(["--images", str(tmp_path)]) == 1
    assert "holds no image" in capsys.readouterr().err
