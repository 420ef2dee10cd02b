"""Nothing here calls home: what the libraries below us would send to their makers is switched off.

- OpenVINO sends an event whenever it is imported, and keeps a client id in the home folder.
- ONNX Runtime from 1.32 on sends events from within its sessions.
- Ray reports the use of a cluster.
- albumentations asks the package index for a newer version whenever it is imported.
- Gradio reports that a page is started, and how it is used.
- The library of the Hugging Face hub, which Gradio brings too, tells it with each request what is installed here.

Whoever wants any of these imports the library before `textspot`, or sets its variable to another value.
"""

import os
import sys
from types import ModuleType
from typing import Any

VARIABLES = {
    "ORT_DISABLE_TELEMETRY": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
OPENVINO = "openvino_telemetry"  # the package by which OpenVINO and NNCF send


def switch_off() -> None:
    """Have libraries that are imported from now on, by this process and those it starts, send nothing."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    if OPENVINO not in sys.modules:
        silent = ModuleType(OPENVINO, "What OpenVINO and NNCF find in place of the package that sends.")
        silent.Telemetry = _Silent  # type: ignore[attr-defined]
        sys.modules[OPENVINO] = silent


class _Silent:
    """Takes every call that `openvino_telemetry.Telemetry` takes, and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None
