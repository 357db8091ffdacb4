# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Copies of the tiny tree whose ego poses were changed, or made unknown."""

import json
import shutil


def change_poses(tree, root, change, version="v1.0-tiny"):
    """A copy of a tree whose rows of ego_pose, in their order, went through a function."""
    shutil.copytree(tree, root)
    table = root / version / "ego_pose.json"
    rows = [change(number, dict(row)) for number, row in enumerate(json.loads(table.read_text()))]
    table.write_text(json.dumps(rows))
    return root


def unknown(number, row, **more):
    """A row of a picture whose ego pose nobody knows."""
    del number
    return row | {"translation": None, "rotation": None} | more
