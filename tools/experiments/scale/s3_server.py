"""An S3 server on this machine: moto's, in a process of its own, with its bucket and its credentials."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from s3fs import S3FileSystem

from textspot.stores import StoreError, list_files

BUCKET = "s3://scale"
PATIENCE_S = 120


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of a bucket in a new server. Its end point and credentials are in the environment until it ends, for
    this process and those that it starts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    values = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in values}
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.environ.update(values)
    S3FileSystem.clear_instance_cache()  # a client keeps the end point that it was made with
    try:
        _make_bucket(port)
        yield BUCKET
    finally:
        server.kill()
        server.wait()
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        S3FileSystem.clear_instance_cache()


def _make_bucket(port: int) -> None:
    """As soon as the server answers."""
    import urllib.error
    import urllib.request

    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET.removeprefix('s3://')}", method="PUT")
            urllib.request.urlopen(request).close()
            list_files(BUCKET)
            return
        except (urllib.error.URLError, ConnectionError, StoreError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
