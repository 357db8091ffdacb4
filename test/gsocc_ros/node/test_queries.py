# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Words asked of the running node over real DDS: the service, standing queries, and what cannot be asked."""

import itertools

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]
pytest.importorskip("rclpy")
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402 - after the skip
from sensor_msgs_py.point_cloud2 import read_points as points  # noqa: E402 - after the skip

from gsocc_ros.pipeline.rig import Rig  # noqa: E402

from ...worded import MEANS, write_bundle  # noqa: E402, TID252 - tests are no package
from ..bags.test_standing_queries import through_the_library  # noqa: E402, TID252
from .watching import call, play, stamps  # noqa: E402 - after the skip


@pytest.fixture
def worded(monkeypatch, tmp_path):
    return write_bundle(monkeypatch, tmp_path / "worded")


class Log:
    """The node's logger, to read what it says."""

    def __init__(self, watcher, monkeypatch):
        self._logger, self.errors = watcher.node.get_logger(), []
        monkeypatch.setattr(watcher.node, "get_logger", lambda: self)

    def __getattr__(self, name):
        return getattr(self._logger, name)

    def error(self, text, **options):
        self.errors.append(text)


def listen(watcher):
    """Lists that fill with clouds and words of standing queries; a late ear hears the words, too."""
    from gsocc_ros.msg import QueryWords
    from sensor_msgs.msg import PointCloud2

    clouds, words = [], []
    watcher.ear.create_subscription(PointCloud2, "/occupancy/queries", clouds.append, 100)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    watcher.ear.create_subscription(QueryWords, "/occupancy/query_words", words.append, latched)
    return clouds, words


def ask(watcher, *words, **more):
    from gsocc_ros.srv import Query

    return call(watcher, Query, "/occupancy/query", words=list(words), **more)


def test_the_service_answers_with_cloud_counts_and_boxes(watch, bag, worded):
    watcher = watch(bundle=worded)
    early = ask(watcher, "horse")
    assert (early.success, early.message) == (False, "~/query: prediction: expected one to ask, received none yet")
    play(bag)
    watcher.wait(lambda: watcher.grids)
    answer = ask(watcher, " Horse", "garden chair")
    assert answer.success, answer.message
    assert answer.message.startswith("horse: 1 voxel, nearest 3.5 m; garden chair: none (best score 0.")
    expected = through_the_library(worded, "horse", "garden chair")
    assert answer.words == ["horse", "garden chair"]
    assert list(answer.voxel_counts) == [1, 0]
    np.testing.assert_allclose(answer.best_scores, expected.values.amax(1), atol=1e-6)
    (horse,) = points(answer.cloud)
    np.testing.assert_allclose([horse[key] for key in "xyz"], MEANS[3])
    assert horse["score"] == pytest.approx(answer.best_scores[0])
    assert answer.cloud.header.frame_id == Rig.load("nuscenes").base_frame
    assert answer.cloud.header.stamp.sec * 10**9 + answer.cloud.header.stamp.nanosec in stamps(watcher)
    (box,) = answer.clusters
    assert (box.word, box.voxels) == (0, 1)
    assert (box.center.position.x, box.center.position.y, box.center.position.z) == MEANS[3]
    assert (box.size.x, box.size.y, box.size.z) == (1.0, 1.0, 1.0)
    assert box.mean_score == pytest.approx(horse["score"])
    everything = ask(watcher, "horse", threshold=0.001)
    assert everything.voxel_counts[0] == everything.cloud.width == int((expected.values[0] >= 0.001).sum()) > 1
    against = ask(watcher, "horse", negatives=["horse", "cow", "pony"])
    assert against.best_scores[0] < answer.best_scores[0]

    for words, more, message in (
        ([], {}, "query: words: expected at least one word, received none"),
        (["horse", ""], {}, "query: words[1]: expected a phrase of at least one word, received ''"),
        (["x"] * 10_000, {}, "query: words: expected at most 64, received 10000"),
        (["horse"], {"negatives": ["x"] * 65}, "query: negatives: expected at most 64, received 65"),
        (["\U0001f984"], {}, "wordllama: words: expected phrases in letters that the encoder knows"),
        (["horse"], {"threshold": 1.5}, "query: threshold: expected above 0, up to 1, received 1.5"),
        (["horse"], {"threshold": float("nan")}, "query: threshold: expected above 0"),
    ):
        refused = ask(watcher, *words, **more)
        assert not refused.success
        assert refused.message.startswith(message)
        assert "\n" not in refused.message
        assert refused.cloud.width == 0
    before = len(watcher.grids)
    play(bag)
    watcher.wait(lambda: len(watcher.grids) > before)


def test_standing_queries_are_published_while_somebody_hears_them(watch, bag, worded, monkeypatch):
    from gsocc_core import OccupancyPredictor

    asked, query = itertools.count(), OccupancyPredictor.query
    monkeypatch.setattr(OccupancyPredictor, "query", lambda self, *words: (next(asked), query(self, *words))[1])
    watcher = watch(bundle=worded, queries=["Horse", "", "garden chair"], query_threshold=0.01)
    play(bag)
    watcher.wait(lambda: len(watcher.grids) > 2)
    assert next(asked) == 0, "nobody heard an answer"
    assert "queries" not in watcher.stages[-1].stages

    clouds, words = listen(watcher)
    boxes = []
    from visualization_msgs.msg import MarkerArray

    watcher.ear.create_subscription(MarkerArray, "/occupancy/query_markers", boxes.append, 100)
    watcher.wait(lambda: words)
    assert (words[0].words, words[0].threshold) == (["horse", "garden chair"], pytest.approx(0.01))
    heard = len(watcher.stages)
    play(bag)
    watcher.wait(lambda: len(clouds) > 2 and len(boxes) > 2)
    expected = through_the_library(worded, "horse", "garden chair")
    for cloud in clouds:
        found = points(cloud)
        assert len(found) == int((expected.values >= 0.01).sum())
        assert found["score"][found["word"] == 0].max() == pytest.approx(float(expected.values[0].max()), abs=1e-6)
        assert cloud.header.stamp.sec * 10**9 + cloud.header.stamp.nanosec in stamps(watcher)
    assert any(marker.text.startswith("horse ") for marker in boxes[-1].markers)
    assert any("queries" in latency.stages for latency in watcher.stages[heard:])


def test_standing_queries_change_while_the_node_runs(watch, bag, worded):
    from rclpy.parameter import Parameter
    from visualization_msgs.msg import Marker, MarkerArray

    watcher = watch(bundle=worded, queries=["horse"])
    clouds, words = listen(watcher)
    boxes = []
    watcher.ear.create_subscription(MarkerArray, "/occupancy/query_markers", boxes.append, 100)
    watcher.wait(lambda: words)

    def change(**values):
        return watcher.node.set_parameters_atomically([Parameter(name, value=v) for name, v in values.items()])

    assert change(queries=["bus", "oak"], query_threshold=0.3).successful
    watcher.wait(lambda: words[-1].words == ["bus", "oak"])
    assert words[-1].threshold == pytest.approx(0.3)
    for values, message in (
        ({"queries": ["bus"] * 65}, "queries: query: words: expected at most 64, received 65"),
        ({"queries": ["\U0001f984"]}, "queries: wordllama: words: expected phrases in letters"),
        ({"query_threshold": 0.0}, "Parameter query_threshold out of range"),
    ):
        refused = change(**values)
        assert not refused.successful
        assert refused.reason.startswith(message)
    play(bag)
    watcher.wait(lambda: len(clouds) > 2 and len(boxes) > 2)
    assert all(set(points(cloud)["word"].tolist()) == {0, 1} for cloud in clouds), "what was asked before goes on"
    assert change(queries=[""]).successful
    watcher.wait(lambda: words[-1].words == [] and clouds[-1].width == 0 and len(boxes[-1].markers) == 1)
    assert boxes[-1].markers[0].action == Marker.DELETEALL, "viewers keep nothing"
    heard = len(clouds), len(watcher.grids)
    play(bag)
    watcher.wait(lambda: len(watcher.grids) > heard[1] + 2)
    assert len(clouds) == heard[0]


def test_a_model_that_cannot_be_asked_is_told(watch, bag, worded, tiny_bundle, monkeypatch):
    """And the node goes on."""
    from gsocc_ros.srv import LoadBundle
    from rclpy.parameter import Parameter

    watcher = watch(start=False, queries=["horse"])
    log = Log(watcher, monkeypatch)
    watcher.start()
    (line,) = log.errors
    assert line.startswith("no standing queries: query: bundle: expected a method with text features")
    clouds, words = listen(watcher)
    play(bag)
    watcher.wait(lambda: len(watcher.grids) > 2)
    refused = ask(watcher, "horse")
    assert not refused.success
    assert refused.message.startswith(
        "query: prediction: expected a scene with text features, received a prediction of"
    )
    assert not watcher.node.set_parameters([Parameter("queries", value=["bus"])])[0].successful

    assert call(watcher, LoadBundle, "/occupancy/load_bundle", bundle=str(worded)).success
    watcher.wait(lambda: words and words[-1].words == ["horse"])
    play(bag)
    watcher.wait(lambda: clouds)
    assert ask(watcher, "horse").success
    assert call(watcher, LoadBundle, "/occupancy/load_bundle", bundle=str(tiny_bundle)).success
    watcher.wait(lambda: words[-1].words == [])
    assert len(log.errors) == 2
    heard = len(watcher.grids)
    play(bag)
    watcher.wait(lambda: len(watcher.grids) > heard)
    assert all(watcher.change(to) for to in ("deactivate", "cleanup", "configure", "activate"))


def test_an_encoder_whose_files_lie_elsewhere_is_a_parameter(watch, bag, worded, monkeypatch, tmp_path):
    moved = write_bundle(monkeypatch, tmp_path / "moved", called="clip:./weights/clip")
    watcher = watch(bundle=moved, text_encoder="wordllama", queries=["horse"])
    clouds, _ = listen(watcher)
    play(bag)
    watcher.wait(lambda: clouds)
    (horse,) = points(clouds[0])
    expected = through_the_library(worded, "horse").values
    assert horse["score"] == pytest.approx(float(expected.max()), abs=1e-6)


def test_a_scene_without_features_costs_the_answer_only(watch, bag, worded, monkeypatch):
    watcher = watch(bundle=worded, queries=["horse"])
    told = []
    monkeypatch.setattr(
        watcher.node._faults, "_logger", type("Log", (), {"error": lambda _, text: told.append(text)})()
    )
    monkeypatch.setattr(watcher.node.predictor.method, "telling", False)
    clouds, _ = listen(watcher)
    watcher.wait(lambda: watcher.ear.count_subscribers("/occupancy/queries") == 1)
    play(bag)
    watcher.wait(lambda: len(watcher.grids) > 2 and told)
    assert told[0].startswith("no answer to the standing queries: query: prediction: expected a scene with text")
    assert not clouds
    assert watcher.node.pipeline.counters().lost == 0
