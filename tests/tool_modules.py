"""The scripts of `tools/`, which are no package, as modules."""

import importlib.util
from pathlib import Path
from types import ModuleType

TOOLS = Path(__file__).parents[1] / "tools"


def import_tool(name: str) -> ModuleType:
    """The module of `tools/<name>.py`, under a name that hides nothing."""
    spec = importlib.util.spec_from_file_location(f"{name}_tool", TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
