# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The node's services: enable, reset, load a bundle, save a snapshot, ask for words."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from std_srvs.srv import SetBool, Trigger

from gsocc_core import OccupancyPredictor
from gsocc_core.errors import DataError, GsoccError
from gsocc_core.inference.found import THRESHOLD, check_threshold, find_clusters, find_voxels, summarize
from gsocc_ros.messages.message_host import rclpy_host
from gsocc_ros.messages.query_messages import score_cloud, word_clusters
from gsocc_ros.node.health import Health
from gsocc_ros.node.parameters import NodeSettings
from gsocc_ros.node.snapshot import save_snapshot
from gsocc_ros.node.worker import Worker
from gsocc_ros.pipeline.occupancy_pipeline import Occupancy, OccupancyPipeline

#: Longest wait for the prediction in hand.
PAUSE_S = 30.0


class ServedNode(Protocol):
    """What the services ask of the node, beside rclpy's own methods."""

    settings: NodeSettings
    worker: Worker
    pipeline: OccupancyPipeline | None
    predictor: OccupancyPredictor | None
    health: Health | None
    latest: Occupancy | None
    enabled: bool

    def load(self, bundle: str, cameras: int) -> OccupancyPredictor:
        """Load a bundle for a rig of so many cameras."""

    def swap(self, predictor: OccupancyPredictor) -> None:
        """Go on with another model."""

    def forget(self) -> None:
        """Drop held pictures, the model's memory and the fused map."""

    def create_service(self, srv_type: type, srv_name: str, callback: Callable[[Any, Any], Any]) -> Any:
        """See rclpy."""

    def destroy_service(self, service: Any) -> bool:
        """See rclpy."""

    def get_logger(self) -> Any:
        """See rclpy."""


class OccupancyServices:
    """Offers the services of a configured node.

    Args:
        node: The node; its pipeline and predictor are there.
    """

    def __init__(self, node: ServedNode) -> None:
        self._node = node
        self._host = rclpy_host()
        load, save, query = (
            self._host.message_class(f"gsocc_ros/srv/{name}") for name in ("LoadBundle", "SaveSnapshot", "Query")
        )
        offered = (
            (SetBool, "enable", self._enable),
            (Trigger, "reset", self._reset),
            (load, "load_bundle", self._load_bundle),
            (save, "save_snapshot", self._save_snapshot),
            (query, "query", self._query),
        )
        self._made = [node.create_service(kind, f"~/{name}", self._answering(work)) for kind, name, work in offered]

    def destroy(self) -> None:
        """Offer them no longer."""
        for service in self._made:
            self._node.destroy_service(service)
        self._made = []

    def _answering(self, work: Callable[[Any, Any], str]) -> Callable[[Any, Any], Any]:
        """A service callback; rclpy would end the process when one raises."""

        def answer(request: Any, response: Any) -> Any:
            try:
                response.success, response.message = True, work(request, response)
            except GsoccError as error:
                response.success, response.message = False, str(error)
            except Exception as error:  # noqa: BLE001 - out of memory, a full disk: the caller is told, the node goes on
                response.success, response.message = False, f"{type(error).__name__}: {error}"
                self._node.get_logger().error(f"{work.__name__.lstrip('_')}: {response.message}")
            return response

        return answer

    def _paused(self, change: Callable[[], None]) -> None:
        """Run a change while the worker stands still."""
        worker = self._node.worker
        running = worker.running
        if not worker.stop(PAUSE_S):
            if running:
                worker.start()
            raise TimeoutError(f"the prediction in hand did not end within {PAUSE_S:.0f} s")
        try:
            change()
        finally:
            if running:
                worker.start()

    def _enable(self, request: Any, response: Any) -> str:  # noqa: ARG002 - filled by the caller
        node = self._node
        node.enabled = request.data
        if node.health is not None:
            node.health.enabled = request.data
        return "enabled" if request.data else "disabled"

    def _reset(self, request: Any, response: Any) -> str:  # noqa: ARG002 - Trigger has no request
        self._paused(self._node.forget)
        return "memory and held pictures dropped"

    def _load_bundle(self, request: Any, response: Any) -> str:  # noqa: ARG002 - filled by the caller
        node = self._node
        assert node.pipeline is not None
        predictor = node.load(request.bundle, len(node.pipeline.rig.cameras))
        self._paused(lambda: node.swap(predictor))
        return predictor.bundle.id

    def _save_snapshot(self, request: Any, response: Any) -> str:  # noqa: ARG002 - filled by the caller
        node = self._node
        occupancy = node.latest
        if occupancy is None or node.pipeline is None or node.predictor is None:
            raise DataError("~/save_snapshot", "prediction", "one to save", "none yet")
        root = Path(node.settings.snapshot_dir).expanduser()
        stamp_ns = occupancy.prediction.reference_stamp_ns
        folder = Path(request.folder).expanduser() if request.folder else _free_folder(root, stamp_ns)
        return str(save_snapshot(folder, occupancy, node.pipeline.rig, node.predictor.bundle.id).resolve())

    def _query(self, request: Any, response: Any) -> str:
        node = self._node
        occupancy = node.latest
        if occupancy is None or node.pipeline is None or node.predictor is None:
            raise DataError("~/query", "prediction", "one to ask", "none yet")
        prediction, threshold = occupancy.prediction, float(request.threshold) or THRESHOLD
        check_threshold("query", threshold)
        scores = node.predictor.query(request.words, prediction, request.negatives)
        found = find_voxels(scores, threshold)
        summaries = summarize(scores, found)
        stamp, frame = prediction.reference_stamp_ns, node.pipeline.rig.base_frame
        response.words = list(scores.words)
        response.voxel_counts = [summary.voxels for summary in summaries]
        response.best_scores = [summary.best_score for summary in summaries]
        response.cloud = score_cloud(self._host, found, stamp, frame)
        response.clusters = word_clusters(self._host, find_clusters(found), scores.grid)
        return "; ".join(summary.text for summary in summaries)


def _free_folder(root: Path, stamp_ns: int) -> Path:
    suffixes = itertools.chain([""], (f"_{number}" for number in itertools.count(2)))
    return next(name for suffix in suffixes if not (name := root / f"{stamp_ns}{suffix}").exists())
