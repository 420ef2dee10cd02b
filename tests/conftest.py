"""Settings of all tests."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors gain nothing from threads and suffer on busy cores

from hypothesis import settings
from web_server import web_server as web_server

# How long an example takes says how busy the machine is. The same examples every time: a failure can be repeated.
settings.register_profile("textspot", deadline=None, derandomize=True)
settings.load_profile("textspot")
