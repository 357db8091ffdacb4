# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``replay_occupancy --queries``: the topics of standing queries, with the answers of the library."""

import numpy as np
import pytest

from gsocc_core import OccupancyPredictor
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Camera
from gsocc_ros.bags.bag_files import open_bag, read_messages
from gsocc_ros.bags.bag_replay import replay_occupancy
from gsocc_ros.commands import replay_occupancy_program as main
from gsocc_ros.messages.query_messages import QUERIES_TOPIC, QUERY_MARKERS_TOPIC, QUERY_OUTPUTS, QUERY_WORDS_TOPIC
from gsocc_ros.pipeline.camera_input import stamp_ns
from gsocc_ros.pipeline.rig import Rig

from ...worded import MEANS, write_bundle  # noqa: TID252 - tests are no package
from ..messages.test_query_messages import points  # noqa: TID252

RIG = Rig.load("nuscenes")


@pytest.fixture
def bundle(monkeypatch, tmp_path):
    return write_bundle(monkeypatch, tmp_path / "worded")


@pytest.fixture(scope="module")
def drive(robot):
    return robot(RIG, cycles=3)


@pytest.fixture(scope="module")
def bag(drive, bag_of, tmp_path_factory):
    return bag_of(tmp_path_factory.mktemp("bags") / "drive", drive.events())


def through_the_library(bundle, *words):
    predictor = OccupancyPredictor.load(bundle, "cpu")
    camera = Camera("front", np.array([[60.0, 0, 32], [0, 60.0, 16], [0, 0, 1]]), np.eye(4), 64, 32)
    predictor.predict([np.zeros((32, 64, 3), np.uint8)], [camera])
    return predictor.query(words)


def test_answers_are_recorded_beside_the_other_outputs(bundle, drive, bag, tmp_path):
    out = tmp_path / "out"
    assert (
        main([str(bag), str(out), "--bundle", str(bundle), "--queries", "Horse, garden chair,", "--device", "cpu"]) == 0
    )
    expected = through_the_library(bundle, "horse", "garden chair")
    found = {topic: [] for topic in QUERY_OUTPUTS}
    with open_bag(out) as result:
        for topic, _, message in read_messages(result, QUERY_OUTPUTS):
            found[topic].append(message)
        kinds = {topic: info.msgtype for topic, info in result.topics.items() if topic in QUERY_OUTPUTS}
        latched = result.topics[QUERY_WORDS_TOPIC].connections[0].ext.offered_qos_profiles[0]
    assert kinds == {topic: output.message_type for topic, output in QUERY_OUTPUTS.items()}
    assert latched.durability.name == "TRANSIENT_LOCAL"
    (words,) = found[QUERY_WORDS_TOPIC]
    assert (words.words, words.threshold) == (["horse", "garden chair"], 0.5)
    stamps = [drive.reference_ns(cycle) for cycle in range(3)]
    assert [stamp_ns(cloud.header) for cloud in found[QUERIES_TOPIC]] == stamps
    for cloud in found[QUERIES_TOPIC]:
        (horse,) = points(cloud)
        assert horse["word"] == 0
        assert horse["score"] == pytest.approx(float(expected.values[0].max()))
        np.testing.assert_allclose([horse[key] for key in "xyz"], MEANS[3])
    assert [len(array.markers) for array in found[QUERY_MARKERS_TOPIC]] == [3, 3, 3]

    report = replay_occupancy(str(out), str(tmp_path / "again"), str(bundle), device="cpu")
    assert (report.sets, report.faults) == (3, {})
    assert "queries" not in report.latency_ms
    with open_bag(tmp_path / "again") as result:
        assert not set(QUERY_OUTPUTS) & set(result.topics), "answers of another replay are none of this one"


def test_a_lower_threshold_finds_more(bundle, bag, tmp_path):
    report = replay_occupancy(
        str(bag), str(tmp_path / "out"), str(bundle), device="cpu", queries="horse", query_threshold=0.001, limit=1
    )
    assert report.latency_ms["queries"] > 0
    with open_bag(tmp_path / "out") as result:
        clouds = [message for _, _, message in read_messages(result, [QUERIES_TOPIC])]
    assert [cloud.width for cloud in clouds] == [int((through_the_library(bundle, "horse").values >= 0.001).sum())]
    assert clouds[0].width > 1


def test_an_encoder_whose_files_lie_elsewhere_is_named_by_an_option(bundle, bag, monkeypatch, tmp_path):
    moved = write_bundle(monkeypatch, tmp_path / "moved", called="clip:./weights/clip")
    options = {"device": "cpu", "queries": "horse", "limit": 1}
    with pytest.raises(ConfigError, match="name yours as --text_encoder"):
        replay_occupancy(str(bag), str(tmp_path / "out"), str(moved), **options)
    replay_occupancy(str(bag), str(tmp_path / "out"), str(moved), **options, text_encoder="wordllama")
    with open_bag(tmp_path / "out") as result:
        ((horse,),) = [points(message) for _, _, message in read_messages(result, [QUERIES_TOPIC])]
    assert horse["score"] == pytest.approx(float(through_the_library(bundle, "horse").values.max()))


def test_what_cannot_be_asked_is_told_before_anything_is_predicted(bundle, bag, tiny_bundle, tmp_path):
    for model, words, threshold, message in (
        (tiny_bundle, "horse", 0.5, "query: bundle: expected a method with text features"),
        (bundle, "horse,\U0001f984", 0.5, "letters that the encoder knows"),
        (bundle, ",".join(map(str, range(65))), 0.5, "query: words: expected at most 64, received 65"),
        (bundle, "horse", 0.0, "replay_occupancy: threshold: expected above 0, up to 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            replay_occupancy(
                str(bag), str(tmp_path / "out"), str(model), device="cpu", queries=words, query_threshold=threshold
            )
    assert not (tmp_path / "out").exists()
