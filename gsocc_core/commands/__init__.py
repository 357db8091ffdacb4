# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of ``gsocc_core``: each typed signature is one, its docstring is the help."""

import gsocc_core._cores  # noqa: F401 - before anything imports NumPy or PyTorch
from gsocc_core.commands.data import label_depth, label_features, label_semantics, label_stand_in, synthesize
from gsocc_core.commands.imports import import_gaussianocc, import_gausstr, import_tpvformer, import_uni3r
from gsocc_core.commands.machine import doctor
from gsocc_core.commands.models import baseline, bench, evaluate, export, predict, train
from gsocc_core.commands.pictures import compare_views, view
from gsocc_core.commands.poses import evaluate_poses
from gsocc_core.commands.reconstruction import reconstruct
from gsocc_core.commands.rigs import check_rig, rig
from gsocc_core.commands.views import evaluate_views
from gsocc_core.commands.words import query, text

__all__ = [
    "baseline",
    "bench",
    "check_rig",
    "compare_views",
    "doctor",
    "evaluate",
    "evaluate_poses",
    "evaluate_views",
    "export",
    "import_gaussianocc",
    "import_gausstr",
    "import_tpvformer",
    "import_uni3r",
    "label_depth",
    "label_features",
    "label_semantics",
    "label_stand_in",
    "predict",
    "query",
    "reconstruct",
    "rig",
    "synthesize",
    "text",
    "train",
    "view",
]
