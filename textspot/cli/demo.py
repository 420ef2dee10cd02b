"""Try the weights on a page of your own browser: textspot demo

The page takes a photograph or the camera's picture, draws over it what was read, and offers the result as JSON and as a
searchable PDF. It is for this machine alone unless --host says otherwise, and sends nothing to anybody.
"""

import os
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jsonargparse.typing import NonNegativeInt

from textspot.cli.command import run_command
from textspot.cli.options import Verb
from textspot.extras import name_extras
from textspot.inference.settings import READING, ReadingSettings


@dataclass(frozen=True, kw_only=True)
class DemoOptions(ReadingSettings):
    """What is tried, and where.

    Args:
        host: address that the page is served on.
        port: port that the page is served on.
        threshold: where the slider of the minimum score begins; the default is the threshold stored in the weights.
        language: language that the page begins with: english, none, or a file with one word per line. The default is
            the one stored in the weights.
    """

    host: str = "127.0.0.1"
    port: NonNegativeInt = 7860


VERB = Verb("demo", DemoOptions, __doc__, groups=READING)


def demo(options: DemoOptions) -> int:
    """Load the network and serve the page; what was uploaded is deleted at the end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: files are deleted then too
    with tempfile.TemporaryDirectory(prefix="textspot-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        with name_extras():
            from textspot.demo.page import build_page, launch
        launch(build_page(options.load(), Path(folder)), options.host, options.port)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    options = VERB.read(arguments)
    return run_command(lambda: demo(options))
