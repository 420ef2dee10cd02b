"""Read images over HTTP: POST /read takes a file, /docs shows how.

  textspot serve
  curl -F file=@photo.jpg http://127.0.0.1:8000/read

After Ctrl-C or SIGTERM the service answers the open requests, then stops. It does not check who sends a request. If
strangers can reach it, put a proxy with authentication in front.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt

import textspot
from textspot.cli.command import run_command
from textspot.cli.options import Verb
from textspot.runtime.build import RuntimeName
from textspot.runtime.protocol import Precision
from textspot.service.app import build_app
from textspot.service.limits import ServiceLimits

IDLE_CONNECTIONS = 100  # that may be open besides those of requests


@dataclass(frozen=True)
class ServeOptions:
    """What is served, where, and within which limits.

    Args:
        host: address to listen on; 0.0.0.0 listens on all addresses of this machine.
        port: port to listen on.
        weights: name of bundled weights, a model.safetensors, a run's folder, or an .onnx file.
        threshold: minimum score of a word where a request names none; the default is the one stored in the weights.
        language: language model, whose words are preferred where the recogniser is unsure: english, none, or a file
            with one word per line. The default is the one stored in the weights.
        runtime: program that runs the network: pytorch, onnxruntime, openvino, or auto.
        device: device of the network: auto (a GPU if there is one), cpu, or cuda:0.
        precision: precision of the convolutions: float32; bf16 in PyTorch and OpenVINO; float16 in PyTorch on a GPU.
        num_threads: number of CPU threads for each image; 0 takes the CPUs that this process may use.
        max_regions: maximum number of words to read per image or tile.
        limits: limits of requests.
    """

    host: str = "127.0.0.1"
    port: NonNegativeInt = 8000
    weights: Path = Path("spotter-s")
    threshold: ClosedUnitInterval | None = None
    language: str | None = None
    runtime: RuntimeName = "auto"
    device: str = "auto"
    precision: Precision = "float32"
    num_threads: NonNegativeInt = 0
    max_regions: PositiveInt = 1000
    limits: ServiceLimits = field(default_factory=ServiceLimits)


VERB = Verb("serve", ServeOptions, __doc__, only_with={"limits.url_timeout_s": ("limits.urls",)})


def serve(options: ServeOptions) -> int:
    """Load the network, then serve until the process is told to stop."""
    spotter = textspot.load(
        options.weights,
        options.device,
        runtime=options.runtime,
        precision=options.precision,
        num_threads=options.num_threads,
        max_regions=options.max_regions,
        threshold=options.threshold,
        language=options.language,
    )
    limits = options.limits
    config = uvicorn.Config(
        build_app(spotter, limits),
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
