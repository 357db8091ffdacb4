# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rules of the diagnostics."""

import pytest

from gsocc_ros.node.health import Arrivals, Health, Level, Limits, Surroundings
from gsocc_ros.pipeline.counters import PipelineCounters
from gsocc_ros.pipeline.synchronizer import CameraCounters

TOPICS = {"front": "/front", "rear": "/rear"}
LIMITS = Limits(stale_s=1.0, latency_budget_ms=100.0)


def counters(**changes):
    return PipelineCounters(cameras=dict.fromkeys(TOPICS, CameraCounters(duplicate=3, unplaced=4)), **changes)


def judged(health, now_s, around=None, **changes):
    return {status.name: status for status in health.judge(counters(**changes), LIMITS, now_s, around)}


@pytest.fixture
def health():
    return Health(TOPICS, "model-7", is_demo=False, now_s=0.0)


def test_at_first_everything_may_still_come(health):
    assert all(status.level == Level.OK for status in judged(health, 0.9).values())


def test_a_silent_camera_is_an_error_that_names_its_topic(health):
    for k in range(20):
        health.picture("front", 0.1 * k)
    health.picture("rear", 0.0)
    found = judged(health, 2.0)
    assert found["camera front"].level == Level.OK
    assert float(found["camera front"].values["rate_hz"]) == pytest.approx(10.0)
    assert found["camera rear"].level == Level.ERROR
    assert "silent for 2.0 s on /rear" in found["camera rear"].message
    # The output's silence has its reason in the camera, so it is not a second error.
    assert found["output"].level == Level.OK


def test_output_that_stops_while_all_cameras_send_is_an_error_with_its_reason(health):
    for name in TOPICS:
        health.picture(name, 4.9)
    assert "no complete set" in judged(health, 5.0)["output"].message
    health.error("/tf: no way from base to front", 4.5)
    status = judged(health, 5.0)["output"]
    assert status.level == Level.ERROR
    assert "/tf: no way" in status.message


def test_sets_without_depth_or_ego_motion_are_a_warning_for_ten_seconds(health):
    for name in TOPICS:
        health.picture(name, 20.0)
    health.output({"network": 50.0}, 3.0, 20.0)
    found = judged(health, 20.0, without_depth=2)["output"]
    assert (found.level, found.values["without_depth"]) == (Level.WARN, "2")
    assert found.message == "sets without depth of a picture: no map near its stamp"
    both = judged(health, 20.5, without_depth=2, without_ego_motion=1)["output"].message
    assert both == "sets without ego motion: no transform to the fixed frame; " + found.message
    for name in TOPICS:
        health.picture(name, 31.0)
    health.output({"network": 50.0}, 3.0, 31.0)
    assert judged(health, 31.0, without_depth=2, without_ego_motion=1)["output"].level == Level.OK


def test_lost_sets_are_a_warning_for_ten_seconds(health):
    for name in TOPICS:
        health.picture(name, 20.0)
    health.output({"network": 50.0}, 3.0, 20.0)
    health.error("broken picture", 15.0)
    assert judged(health, 20.1)["output"].level == Level.WARN
    for name in TOPICS:
        health.picture(name, 25.5)
    health.output({"network": 50.0}, 3.0, 25.5)
    assert judged(health, 25.6)["output"].level == Level.OK
    assert judged(health, 25.6)["output"].values["errors"] == "1"


def test_missing_ego_motion_is_a_warning(health):
    health.output({"network": 50.0}, 3.0, 0.4)
    assert judged(health, 0.5, without_ego_motion=1)["output"].level == Level.WARN
    for now_s, sets, level in ((10.4, 1, Level.WARN), (11.0, 1, Level.OK), (12.0, 2, Level.WARN)):
        health.output({"network": 50.0}, 3.0, now_s)
        assert judged(health, now_s, without_ego_motion=sets)["output"].level == level


def test_a_silent_camera_whose_qos_does_not_match_is_an_error_that_says_so(health):
    health.incompatible_qos("/rear", "reliability")
    status = judged(health, 2.0)["camera rear"]
    assert status.level == Level.ERROR
    assert "no picture yet on /rear; a publisher's QoS does not match: reliability" in status.message


def test_qos_of_other_inputs_is_a_warning_of_the_output(health):
    health.incompatible_qos("/rear/camera_info", "durability")
    status = judged(health, 0.1)["output"]
    assert status.level == Level.WARN
    assert "/rear/camera_info: durability" in status.message


@pytest.mark.parametrize(
    ("faults", "level"),
    [({}, Level.OK), ({"odom": "unknown"}, Level.WARN), ({"rear": "lost", "odom": "unknown"}, Level.ERROR)],
)
def test_transforms(health, faults, level):
    around = Surroundings(faults, gpu_memory_mb=1234.4)
    found = {status.name: status for status in health.judge(counters(), LIMITS, 0.1, around)}
    assert found["transforms"].level == level
    assert found["transforms"].values == faults
    assert ("rear: lost" in found["transforms"].message) == ("rear" in faults)
    assert found["model"].values["gpu_memory_mb"] == "1234"


@pytest.mark.parametrize(("total_ms", "level"), [(90.0, Level.OK), (150.0, Level.WARN), (250.0, Level.ERROR)])
def test_latency_against_its_budget(health, total_ms, level):
    for k in range(50):
        health.output({"decode": 0.25 * total_ms, "network": 0.75 * total_ms}, 3.0, 0.01 * k)
    status = judged(health, 0.5)["latency"]
    assert status.level == level
    assert status.values["total_p95_ms"] == f"{total_ms:.1f}"
    assert status.values["network_p50_ms"] == f"{0.75 * total_ms:.1f}"


def test_one_slow_set_is_no_fault(health):
    for k in range(60):
        health.output({"network": 50.0 if k else 900.0}, 3.0, 0.01 * k)
    assert judged(health, 0.5)["latency"].level == Level.OK


def test_qos_the_demo_and_disabling(health):
    health.incompatible_qos("/rear", "reliability")
    assert "reliability" in judged(health, 0.1)["camera rear"].message
    assert judged(health, 0.1)["camera rear"].level == Level.WARN
    assert judged(health, 0.1)["model"].level == Level.OK
    health.use_model("synthetic", is_demo=True)
    assert judged(health, 0.1)["model"].level == Level.WARN
    assert judged(health, 0.1)["model"].values["bundle"] == "synthetic"
    health.enabled = False
    assert judged(health, 99.0)["output"].message == "disabled by ~/enable"


def test_rates_of_nothing():
    arrivals = Arrivals()
    assert (arrivals.rate_hz, arrivals.age_s(1.0)) == (0.0, None)
    arrivals.add(1.0)
    arrivals.add(1.0)
    assert arrivals.rate_hz == 0.0


def test_a_camera_whose_pictures_are_of_no_use_says_why(health):
    around = Surroundings(camera_faults={"rear": "/rear/camera_info: k: expected a calibrated camera"})
    for name in TOPICS:
        health.picture(name, 0.0)
    status = judged(health, 0.5, around)["camera rear"]
    assert (status.level, status.message) == (Level.ERROR, f"not used: {around.camera_faults['rear']}")
    health.output({"network": 50.0}, 3.0, 0.4)  # sets go on without it
    assert judged(health, 0.5, around)["camera rear"].level == Level.WARN
    assert judged(health, 0.5)["camera rear"].level == Level.OK
    assert "no picture yet" not in judged(health, 0.5, around)["camera rear"].message
    assert judged(health, 5.0, around)["camera rear"].message.startswith("silent for 5.0 s")
    assert (status.values["duplicate"], status.values["unplaced"]) == ("3", "4")


def test_pictures_that_are_sent_and_do_not_come_have_a_likely_reason(health):
    quiet, sent = Surroundings(senders={"/rear": 0}), Surroundings(senders={"/rear": 1})
    assert judged(health, 2.0, quiet)["camera rear"].message == "no picture yet on /rear"
    message = judged(health, 2.0, sent)["camera rear"].message
    assert message.startswith("no picture yet on /rear, though something publishes there (1); large pictures over best")
    assert "image_reliability:=reliable" in message
    assert "net.core.rmem_max" in message


def test_sets_without_a_picture_of_every_camera_are_a_warning_while_all_send(health):
    health.output({"network": 50.0}, 3.0, 0.4)
    for name in TOPICS:
        health.picture(name, 0.4)
    status = judged(health, 0.5, incomplete=7, sets=9)["output"]
    assert (status.level, status.values["incomplete"], status.values["sets"]) == (Level.WARN, "7", "9")
    assert status.message.startswith("sets without a picture of every camera")
    assert judged(health, 0.5, incomplete=7, without_reference=1)["output"].message.startswith(
        "sets without a stamp of"
    )
    health.picture("front", 2.0)
    health.output({"network": 50.0}, 3.0, 2.0)
    found = judged(health, 2.1, incomplete=8)  # the rear camera is silent, which is told there
    assert found["camera rear"].level == Level.ERROR
    assert "picture of every camera" not in found["output"].message


def test_a_lazy_node_that_nobody_hears_is_well(health):
    for name in TOPICS:
        health.picture(name, 9.9)
    health.heard = False
    status = judged(health, 10.0)["output"]
    assert (status.level, status.message) == (Level.OK, "nobody hears an output, and the parameter lazy is set")
    health.heard = True
    assert judged(health, 10.0)["output"].level == Level.ERROR
