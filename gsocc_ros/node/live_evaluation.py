# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scores the node's own predictions while a recording with ground truth is played."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from gsocc_core import ClassTable, SemanticGrid
from gsocc_core.errors import DataError
from gsocc_ros.bags.replay_score import ReplayScore, Track
from gsocc_ros.messages.occupancy_messages import read_class_table, read_occupancy
from gsocc_ros.messages.outputs import GROUND_TRUTH_TOPIC, TRUTH_CLASSES_TOPIC
from gsocc_ros.pipeline.camera_input import stamp_ns


class LiveEvaluation:
    """Pairs ground truths and predictions of the same stamp; its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: dict[str, ClassTable] = {}
        self._score = ReplayScore(None, Track({}, np.zeros(3)), GROUND_TRUTH_TOPIC)
        self._truths = 0
        self._last_s: float | None = None  # None: nothing came since the last summary

    def add_table(self, message: Any) -> None:
        """Take a gsocc_ros/SemanticClassTable."""
        with self._lock:
            self._tables[message.id] = read_class_table(message)

    def add_truth(self, message: Any, now_s: float) -> SemanticGrid:
        """Take a gsocc_ros/SemanticOccupancy.

        Args:
            message: The ground truth.
            now_s: Time on a steady clock.

        Returns:
            Its labels.

        Raises:
            DataError: its class table has not come, or it is on another grid than the prediction.
        """
        with self._lock:
            classes = self._tables.get(message.class_table_id)
            if classes is None:
                expected = f"the id of a class table that came on {TRUTH_CLASSES_TOPIC}: {sorted(self._tables)}"
                raise DataError(GROUND_TRUTH_TOPIC, "class_table_id", expected, repr(message.class_table_id))
            truth = read_occupancy(message, classes, GROUND_TRUTH_TOPIC)
            self._last_s = now_s
            self._truths += 1
            self._score.add_truth(stamp_ns(message.header), truth)
        return truth

    def add_prediction(self, stamp: int, grid: SemanticGrid) -> None:
        """Take a prediction; the older ones of stamps without ground truth are dropped.

        Raises:
            DataError: the ground truth at that stamp lies on another grid or has other classes.
        """
        with self._lock:
            self._score.add_prediction(stamp, grid)

    def is_over(self, now_s: float, idle_s: float) -> bool:
        """Whether ground truth came since the last summary, and then none for ``idle_s`` seconds."""
        return self._last_s is not None and now_s - self._last_s > idle_s

    def summary(self) -> str | None:
        """All scores so far in one line, with the ground truths that no prediction came for; None = none came."""
        with self._lock:
            self._last_s = None
            if not self._truths:
                return None
            result, count, truths = self._score.scores(), self._score.scored, self._truths
        figures = (("mIoU", result.miou), ("IoU", result.iou))
        shown = ", ".join(f"{name} {100 * value:.2f} %" for name, value in figures if value is not None)
        missed = f"{truths - count} of {truths} ground truths missed"
        return ", ".join([f"{count} sets scored", missed, *([shown] if shown else [])])
