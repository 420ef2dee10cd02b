"""The service as a process of its own: stopped, killed, loaded, left by its clients."""

import http.client
import io
import json
import socket
import threading
import time

import pytest
from PIL import Image
from tiny_spotter import noise, write_noise

from textspot.benchmark.service_load import RunningService, ask
from textspot.cli import benchmark_service

pytestmark = pytest.mark.slow
NUM_PAGES = 12


@pytest.fixture(scope="module")
def service(weights):
    """One for all tests, of which the last stops it."""
    with RunningService(["--weights", str(weights), "--num_threads", "1", "--limits.timeout_s", "300"]) as running:
        yield running


def pages():
    buffer = io.BytesIO()
    first, *others = (Image.fromarray(noise(128, 160, seed)) for seed in range(NUM_PAGES))
    first.save(buffer, "TIFF", save_all=True, append_images=others)
    return buffer.getvalue()


def metric(service, name):
    text = ask(service.port, "GET", "/metrics")[1].decode()
    return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(f"{name} ")))


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_clients_that_hang_up_are_forgotten(service):
    data, open_files = pages(), []
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", service.port)
        connection.request("POST", "/read", data)
        wait_for(lambda: metric(service, "textspot_working") == 1)
        connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
        wait_for(lambda: metric(service, "textspot_working") == 0)
        open_files.append(service.open_files())
    assert metric(service, 'textspot_answers_total{status="499"}') == 3
    assert metric(service, "textspot_admitted") == 0
    wait_for(lambda: service.open_files() <= open_files[0])  # the connection of the last question may be closing


def test_a_stop_waits_for_what_was_asked(service):
    answers = []
    data = pages()
    clients = [threading.Thread(target=lambda: answers.append(ask(service.port, "POST", "/read", data))) for _ in "ab"]
    for client in clients:
        client.start()
    wait_for(lambda: metric(service, "textspot_admitted") == 2)
    service.stop()
    for client in clients:
        client.join()
    assert [(status, len(json.loads(body)["pages"])) for status, body in answers] == [(200, NUM_PAGES)] * 2
    with pytest.raises(OSError, match="refused"):
        ask(service.port, "GET", "/health")


def test_load_kill_and_restart(weights, tmp_path, capsys):
    for seed in range(3):
        write_noise(tmp_path / f"{seed}.png", 64, 96, seed)
    options = ["--images", tmp_path, "--weights", weights, "--num_threads", 1, "--seconds", 4, "--num_images", 2]
    assert benchmark_service.main(list(map(str, options))) == 0
    table = capsys.readouterr().out
    assert "| failed | 0 | 0 |" in table
    assert "| answers that differ from those to a single client | 0 | 0 |" in table
