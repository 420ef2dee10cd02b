"""Settings of all tests."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors gain nothing from threads and suffer on busy cores

from hypothesis import settings

settings.register_profile("textspot", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("textspot")
