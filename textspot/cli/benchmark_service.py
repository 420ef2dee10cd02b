"""Load a real service with many clients at once: textspot benchmark-service --images photos/

Starts `textspot serve` on this machine, asks it alone for the answer to every image, then has the clients ask for three
minutes. Among the images are one that was cut short and one that is none. Half way the service is killed while it
reads, and started again. Prints a Markdown table; the exit status is 1 if a request failed or got another answer than
the client alone.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jsonargparse.typing import NonNegativeInt, PositiveInt

from textspot.benchmark.service_load import Clients, Load, RunningService, ask, read_bodies
from textspot.cli.command import run_command
from textspot.cli.options import Verb
from textspot.image_folders import find_images


@dataclass(frozen=True)
class ServiceBenchmarkOptions:
    """What is sent, by how many, and for how long.

    Args:
        images: folder of the images.
        num_images: number of images of the folder that are sent in turn.
        clients: number of clients that send at the same time.
        seconds: time that they send.
        requests: number of requests after which they end before; 0 for none.
        restart: kill the service in the middle of the time and start it again.
        weights: weights of the service, as `textspot serve` takes them.
        num_threads: CPU threads of the service; 0 takes the CPUs that it may use.
    """

    images: Path
    num_images: PositiveInt = 32
    clients: PositiveInt = 8
    seconds: PositiveInt = 180
    requests: NonNegativeInt = 0
    restart: bool = True
    weights: Path = Path("spotter-s")
    num_threads: NonNegativeInt = 0


VERB = Verb("benchmark-service", ServiceBenchmarkOptions, __doc__)


def run(options: ServiceBenchmarkOptions) -> int:
    """Measure, and print the table."""
    images = find_images([os.fspath(options.images)], options.images / "predictions").images[: options.num_images]
    if not images:
        raise ValueError(f"{options.images}: holds no image")
    bodies = read_bodies(images)
    arguments = ["--weights", os.fspath(options.weights), "--num_threads", str(options.num_threads)]
    with RunningService([*arguments, "--limits.queue", str(options.clients)]) as service:
        expected = [ask(service.port, "POST", "/read", body) for body in bodies]
        clients = Clients(service, bodies, expected, options.clients)
        if not options.restart:
            return report({"": clients.run(options.seconds, options.requests or None)})
        before = clients.run(options.seconds / 2, options.requests // 2 or None, kill=True)
        service.start()
        return report(
            {"before the kill": before, "after it": clients.run(options.seconds / 2, options.requests // 2 or None)}
        )


def report(loads: Mapping[str, Load]) -> int:
    """Print what was measured; the exit status."""
    print(f"| | {' | '.join(loads)} |\n|---|{'---|' * len(loads)}")
    for rows in zip(*(load.rows() for load in loads.values()), strict=True):
        print(f"| {rows[0][0]} | {' | '.join(value for _, value in rows)} |")
    return int(any(load.failed or load.different for load in loads.values()))


def main(arguments: Sequence[str] | None = None) -> int:
    options = VERB.read(arguments)
    return run_command(lambda: run(options))
