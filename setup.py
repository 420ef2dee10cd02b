"""Puts the recipes and the cards of data sets, which lie beside the package in a checkout, into it in a wheel.

All else stands in pyproject.toml. An editable install finds both folders where they lie (textspot/shipped_files.py).
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = {"configs": "*.yaml", "datasets": "*/**/*"}  # of the folder's own files, and of those below its folders


class BuildWithShippedFiles(build_py):
    """Copies the folders as they are."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for folder, pattern in SHIPPED.items():
            for file in Path(folder).glob(pattern):
                if file.is_file() and "__pycache__" not in file.parts:
                    target = Path(self.build_lib, "textspot", file)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target)


setup(cmdclass={"build_py": BuildWithShippedFiles})
