# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Standing queries: words that every prediction is asked, as publications of the node."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rclpy.node import Node

from gsocc_core import OccupancyPredictor, Prediction, VoxelScores
from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.query_messages import QUERY_OUTPUTS, QUERY_WORDS_TOPIC, query_words, standing_messages
from gsocc_ros.node.publishers import offer


@dataclass(frozen=True)
class _Asked:
    predictor: OccupancyPredictor
    words: tuple[str, ...]
    threshold: float


class QueryOutput:
    """Publishers of the answers to standing queries; nothing is asked while nobody hears them.

    Args:
        node: Whose publishers.
        host: Makes the messages.
        frame_id: Name of the base frame.
    """

    def __init__(self, node: Node, host: MessageHost, frame_id: str) -> None:
        self._node, self._host, self._frame = node, host, frame_id
        self._asked: _Asked | None = None
        # No answer to former words comes behind the message that says what is asked.
        self._lock = threading.Lock()
        self._publishers: dict[str, Any] = {}
        try:
            for topic, output in QUERY_OUTPUTS.items():
                self._publishers[topic] = offer(node, host, topic, output)
        except Exception:
            self.destroy()
            raise

    def ask(self, predictor: OccupancyPredictor, words: Sequence[str], threshold: float) -> None:
        """Ask these words from now on; may be called while :meth:`publish` runs in another thread.

        Args:
            predictor: The model in use.
            words: The words; none = ask nothing, and clear what viewers show. The text encoder is loaded for the first
                ones.
            threshold: Least score of what is published.

        Raises:
            ConfigError: the model's scenes have no text features, or the words are too many or some that the encoder
                does not know. What was asked before goes on.
        """
        asked = _Asked(predictor, predictor.prepare_query(words), threshold) if words else None
        with self._lock:
            before, self._asked = self._asked, asked
            if before is None and asked is None:
                return
            stamp = self._node.get_clock().now().nanoseconds
            if before is not None and asked is None:
                nothing = torch.zeros(0, dtype=torch.int64), torch.zeros(len(before.words), 0)
                self._tell(VoxelScores(*nothing, before.predictor.grid, before.words), threshold, stamp)
            found = () if asked is None else asked.words
            message = query_words(self._host, found, threshold, stamp, self._frame)
            self._publishers[QUERY_WORDS_TOPIC].publish(message)

    def publish(self, prediction: Prediction) -> float | None:
        """Ask a prediction and publish what was found.

        Args:
            prediction: Of the model in use.

        Returns:
            Milliseconds; None = nothing was asked, or nobody hears the answer.

        Raises:
            GsoccError: the prediction cannot be asked.
        """
        with self._lock:
            asked = self._asked
            if asked is None or not self.heard():
                return None
            start = time.perf_counter()
            scores = asked.predictor.query(asked.words, prediction)
            self._tell(scores, asked.threshold, prediction.reference_stamp_ns)
            return (time.perf_counter() - start) * 1e3

    def heard(self) -> list[str]:
        """Topics of answers that somebody hears."""
        return [t for t, out in self._publishers.items() if t != QUERY_WORDS_TOPIC and out.get_subscription_count()]

    def _tell(self, scores: VoxelScores, threshold: float, stamp_ns: int) -> None:
        for topic, message in standing_messages(self._host, scores, threshold, stamp_ns, self._frame, self.heard()):
            self._publishers[topic].publish(message)

    def destroy(self) -> None:
        """Take the publishers down."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers = {}
