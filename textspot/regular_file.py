"""Files that users name: a pipe or a device in the place of one would be waited for, or would never end."""

import os
import stat


def refuse_other_kinds(path: str | os.PathLike, expected: str) -> None:
    """A ValueError if something other than a regular file lies at a path. If nothing does, who opens it says so."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(mode):
        raise ValueError(f"{os.fspath(path)}: a folder, a pipe or a device, expected {expected}")
