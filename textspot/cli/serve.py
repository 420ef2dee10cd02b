"""Read images over HTTP: POST /read takes a file, /docs shows how.

  textspot serve
  curl -F file=@photo.jpg http://127.0.0.1:8000/read

After Ctrl-C or SIGTERM the service answers the open requests, then stops. It does not check who sends a request. If
strangers can reach it, put a proxy with authentication in front.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import uvicorn
from jsonargparse.typing import NonNegativeInt

from textspot.cli.command import run_command
from textspot.cli.options import Verb
from textspot.inference.settings import READING, ReadingSettings
from textspot.service.app import build_app
from textspot.service.limits import ServiceLimits

IDLE_CONNECTIONS = 100  # that may be open besides those of requests


@dataclass(frozen=True, kw_only=True)
class ServeOptions(ReadingSettings):
    """What is served, where, and within which limits.

    Args:
        host: address to listen on; 0.0.0.0 listens on all addresses of this machine.
        port: port to listen on.
        threshold: minimum score of a word where a request names none; the default is the one stored in the weights.
        limits: limits of requests.
    """

    host: str = "127.0.0.1"
    port: NonNegativeInt = 8000
    limits: ServiceLimits = field(default_factory=ServiceLimits)


ONLY_WITH = {"limits.url_timeout_s": ("limits.urls",)}
VERB = Verb("serve", ServeOptions, __doc__, groups=READING, only_with=ONLY_WITH)


def serve(options: ServeOptions) -> int:
    """Load the network, then serve until the process is told to stop."""
    limits = options.limits
    config = uvicorn.Config(
        build_app(options.load(), limits),
        options.host,
        options.port,
        limit_concurrency=limits.concurrency + limits.queue + IDLE_CONNECTIONS,
        timeout_graceful_shutdown=int(limits.timeout_s) + 1,
    )
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 1


def main(arguments: Sequence[str] | None = None) -> int:
    options = VERB.read(arguments)
    return run_command(lambda: serve(options))
