"""What the service counts about itself, in the format of Prometheus."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from textspot.service.turns import Turns

COUNTED = "/read"
SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """Answers by status, their times, and how many are served and waiting."""

    def __init__(self, turns: Turns):
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.answers = Counter("textspot_answers", "Answers by status", ["status"], registry=self.registry)
        self.seconds = Histogram("textspot_answer_seconds", "Time to answer", buckets=SECONDS, registry=self.registry)
        admitted = Gauge("textspot_admitted", "Requests that are served or wait", registry=self.registry)
        admitted.set_function(lambda: turns.admitted)
        working = Gauge("textspot_working", "Threads at work", registry=self.registry)
        working.set_function(lambda: turns.working)

    def render(self) -> bytes:
        """What `/metrics` answers."""
        return generate_latest(self.registry)

    def count(self, app: ASGIApp) -> ASGIApp:
        """The application, with its answers to `/read` counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] != COUNTED:
                await app(scope, receive, send)
                return
            started = time.monotonic()

            async def count(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self.answers.labels(message["status"]).inc()
                    self.seconds.observe(time.monotonic() - started)
                await send(message)

            await app(scope, receive, count)

        return counted
