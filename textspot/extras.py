"""Which extra of the package brings a module that is missing, and the line that installs it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = {
    "torch": "torch",
    "torchvision": "torch",
    "safetensors": "torch",
    "lmdb": "data",
    "albumentations": "train",
    "tensorboard": "train",
    "onnx": "export",
    "onnxscript": "export",
    "openvino": "openvino",
    "pypdfium2": "pdf",
    "fpdf": "pdf",
    "fontTools": "pdf",
    "scipy": "mat",
    "matplotlib": "plots",
    "timm": "timm",
    "fsspec": "stores",
    "s3fs": "stores",
    "aiohttp": "stores",
    "ray": "ray",
    "pyarrow": "ray",
    "nncf": "nncf",
    "fastapi": "serve",
    "fastapi_offline": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "gradio": "demo",
    "huggingface_hub": "hub",
    "mlflow": "mlflow",
    "trackio": "trackio",
    "wandb": "wandb",
}


class MissingExtraError(ImportError, ValueError):
    """A package that an extra brings is not installed; the message holds the line that installs it."""


def explain_missing(error: ImportError, extra: str = "") -> str | None:
    """What to install when an import failed, in a sentence: `extra`, or the one that brings the module; None if none of
    this package does."""
    if isinstance(error, MissingExtraError):
        return str(error)
    module = (error.name or "").split(".")[0]
    if module not in EXTRAS or sys.modules.get(module) is not None:  # there, but without what was asked of it
        return None
    return f"{module} is not installed: pip install 'textspot[{extra or EXTRAS[module]}]'"


@contextmanager
def name_extras() -> Iterator[None]:
    """Turn the failed import of a package that an extra brings into a `MissingExtraError`."""
    try:
        yield
    except ImportError as error:
        if explanation := explain_missing(error):
            raise MissingExtraError(explanation) from error
        raise
