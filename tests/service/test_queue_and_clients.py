"""A full queue, clients that hang up, send slowly or too much, and reading that takes too long."""

import asyncio
import io
import json

import numpy as np
import pytest
from PIL import Image
from services import UPLOAD, Client, HeldSpotter, until

from textspot.service import upload
from textspot.service.app import build_app
from textspot.service.limits import ServiceLimits


def image_bytes(num_pages=1):
    buffer = io.BytesIO()
    first, *others = (Image.fromarray(np.full((8, 8, 3), 90, dtype=np.uint8)) for _ in range(num_pages))
    first.save(buffer, "TIFF", save_all=True, append_images=others)
    return buffer.getvalue()


def run(scenario, **limits):
    """Runs a scenario of the application and the spotter, which reads when the scenario says so, or at its end."""

    async def play():
        spotter = HeldSpotter()
        app = build_app(spotter, ServiceLimits(**limits))
        async with app.router.lifespan_context(app):
            with spotter.held():
                await asyncio.wait_for(scenario(app, spotter), 20)

    asyncio.run(play())


def test_a_full_queue_is_503_and_says_when_to_come_again():
    async def scenario(app, spotter):
        first = Client(app, image_bytes())
        await until(spotter.begun.is_set)
        second = Client(app, image_bytes())
        await asyncio.sleep(0)
        third = Client(app, image_bytes())
        await third.task
        assert (third.status, third.headers["retry-after"]) == (503, "1")
        assert json.loads(third.body) == {"detail": "too many requests wait: try again later"}
        spotter.gate.set()
        await asyncio.gather(first.task, second.task)
        assert (first.status, second.status) == (200, 200)
        late = Client(app, image_bytes())
        await late.task
        assert late.status == 200

    run(scenario, queue=1)


def test_a_client_that_hangs_up_while_it_waits_is_not_read():
    async def scenario(app, spotter):
        first = Client(app, image_bytes())
        await until(spotter.begun.is_set)
        second = Client(app, image_bytes())
        await asyncio.sleep(0.05)
        second.hang_up()
        await second.task
        assert second.status == 499
        spotter.gate.set()
        await first.task
        assert (first.status, spotter.started) == (200, 1)

    run(scenario)


def test_a_client_that_hangs_up_while_it_is_read_costs_no_further_page():
    async def scenario(app, spotter):
        client = Client(app, image_bytes(num_pages=3))
        await until(spotter.begun.is_set)
        client.hang_up()
        await client.task
        spotter.gate.set()
        last = Client(app, image_bytes())
        await last.task
        assert (client.status, last.status, spotter.started) == (499, 200, 2)

    run(scenario)


def test_a_client_that_hangs_up_while_it_sends():
    async def scenario(app, spotter):
        client = Client(app, b"", [UPLOAD | {"body": b"x", "more_body": True}])
        client.hang_up()
        await client.task
        assert (client.status, spotter.started) == (499, 0)

    run(scenario)


def test_reading_that_takes_too_long_is_504():
    async def scenario(app, _spotter):
        client = Client(app, image_bytes())
        await client.task
        assert client.status == 504
        assert "not read after 0.1 s" in json.loads(client.body)["detail"]

    run(scenario, timeout_s=0.1)


def test_an_upload_that_takes_too_long_is_408(monkeypatch):
    monkeypatch.setattr(upload, "LINGER_S", 0.01)

    async def scenario(app, spotter):
        client = Client(app, b"", [UPLOAD | {"body": b"x", "more_body": True}])
        await client.task
        assert (client.status, spotter.started) == (408, 0)
        assert json.loads(client.body) == {"detail": "the upload is not complete after 0.1 s"}

    run(scenario, timeout_s=0.1)


@pytest.mark.parametrize("num_rest", [0, 5])
def test_an_upload_without_a_stated_length_is_cut_off_and_heard_out(num_rest):
    """A client that cannot send the rest would not read the answer."""

    async def scenario(app, spotter):
        chunk = UPLOAD | {"body": b"x" * 60, "more_body": True}
        client = Client(app, b"", [chunk, chunk, *[chunk] * num_rest, UPLOAD])
        await client.task
        assert (client.status, client.messages, spotter.started) == (413, [], 0)

    run(scenario, max_bytes=100)
