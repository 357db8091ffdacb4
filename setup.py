# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Everything but one step of the build is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

#: Folders that ROS wants beside the Python packages; in a wheel they travel inside gsocc_ros.
SHARED = ("bundles", "config", "launch", "msg", "rviz", "srv")


class BuildWithSharedFiles(build_py):
    """Copies what is not code to gsocc_ros/share; editable installs find it where it is."""

    def run(self) -> None:
        """Build the packages, then copy."""
        super().run()
        if self.editable_mode:
            return
        here = Path(__file__).resolve().parent
        files = (path for folder in SHARED for path in sorted((here / folder).rglob("*")) if path.is_file())
        for source in (path for path in files if path.parent.name != "__pycache__"):
            target = Path(self.build_lib) / "gsocc_ros" / "share" / source.relative_to(here)
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target))


setup(cmdclass={"build_py": BuildWithSharedFiles})
