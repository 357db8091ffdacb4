# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The node on a real ROS 2: recordings come from another process over DDS, with the faults that robots know."""

import itertools
import json
import subprocess
import threading

import numpy as np
import pytest

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.methods.build import build_method
from gsocc_ros.messages.occupancy_messages import read_occupancy
from gsocc_ros.pipeline.rig import Rig

from ...conftest import TINY_MODEL  # noqa: TID252 - tests are no package, the fixtures' constants live beside them

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]
rclpy = pytest.importorskip("rclpy")
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402 - after the skip

from .watching import FRONT, RIG, call, node_process, play, player, resident_mb, stamps  # noqa: E402 - after the skip


def test_pictures_in_occupancy_out(watch, bag, robot):
    watcher = watch()
    play(bag)
    watcher.wait(lambda: len(watcher.grids) > 3)
    expected = [robot(RIG, cycle_ms=100.0).reference_ns(cycle) for cycle in range(30)]
    # Without the reference topic's message, which travels best effort, the anchor's stamp stands in for it.
    assert all(min(abs(stamp - e) for e in expected) < 40_000_000 for stamp in stamps(watcher))
    assert len(set(stamps(watcher)) & set(expected)) > 2
    assert stamps(watcher) == sorted(set(stamps(watcher)))
    grid = watcher.grids[0]
    assert grid.header.frame_id == RIG.base_frame
    assert len(grid.labels) == grid.size_x * grid.size_y * grid.size_z == 640_000
    assert grid.model_id == "tiny"
    assert {"sync", "decode", "network", "splat", "messages"} <= set(watcher.stages[0].stages)
    assert watcher.clouds[0].header == watcher.grids[0].header
    assert_same_voxels(watcher.clouds[0], grid)
    assert watcher.statuses[-1]["model"] == (0, "tiny")
    assert "camera CAM_FRONT" in watcher.statuses[-1]


def assert_same_voxels(cloud, message):
    """Whoever reads the cloud as ROS users do finds the occupied voxels of the dense grid."""
    from sensor_msgs_py.point_cloud2 import read_points

    points, grid = read_points(cloud), read_occupancy(message, OCC3D_NUSCENES)
    lower, size = np.array(grid.grid.lower), np.array(grid.grid.size_m)
    index = np.floor((np.stack([points[key] for key in "xyz"], 1) - lower) / size).astype(int)
    labels = grid.labels.numpy()
    assert len(points) == ((labels != OCC3D_NUSCENES.free_id) & (labels != OCC3D_NUSCENES.ignore_id)).sum() > 0
    np.testing.assert_array_equal(points["label"], labels[tuple(index.T)])
    np.testing.assert_allclose(points["confidence"], grid.confidence.numpy()[tuple(index.T)], atol=0.005)


@pytest.fixture
def moving_bundle(tmp_path):
    """A model with memory and flow, of random weights."""
    classes = OCC3D_NUSCENES.with_channels(range(1, 17))
    model = {**TINY_MODEL, "memory": {"carried": 20}, "flow": {"hidden": 16, "layers": 2}}
    method = build_method("gaussianflowocc", model, classes, pretrained=False)
    save_bundle(tmp_path / "moving", "gaussianflowocc", model, method, "# moving\n")
    return tmp_path / "moving"


def test_every_output_and_the_fused_map_arrive(watch, bag, moving_bundle):
    from gsocc_ros.messages.outputs import FUSED_OUTPUTS, OUTPUTS

    watcher = watch(start=False, fuse=True, bundle=moving_bundle)
    heard = {}
    for topic, output in {**OUTPUTS, **FUSED_OUTPUTS}.items():
        kind = watcher.node._host.message_class(output.message_type)
        durability = DurabilityPolicy.TRANSIENT_LOCAL if output.latched else DurabilityPolicy.VOLATILE
        qos = QoSProfile(depth=10, durability=durability)
        watcher.ear.create_subscription(kind, topic, lambda m, topic=topic: heard.setdefault(topic, m), qos)
    watcher.start()
    play(bag)
    watcher.wait(lambda: set(heard) == {*OUTPUTS, *FUSED_OUTPUTS}, 30)
    assert heard["/occupancy/fused/grid"].header.frame_id == RIG.base_frame
    from sensor_msgs_py.point_cloud2 import read_points

    clouds = {topic: m for topic, m in heard.items() if type(m).__name__ == "PointCloud2"}
    assert set(clouds) == {"/occupancy/voxels", "/occupancy/obstacles", "/occupancy/fused/voxels"}
    for topic, cloud in clouds.items():
        points = read_points(cloud)
        assert len(points) == cloud.width, topic
        assert all(np.isfinite(points[key]).all() for key in "xyz"), topic
    # Not of every set: one whose motion did not come in time is not fused.
    assert any("fusion" in latency.stages for latency in watcher.stages)
    # Nav2's static layer comes when it comes, and wants the last map at once.
    late, qos = [], QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    watcher.ear.create_subscription(type(heard["/occupancy/cost_map"]), "/occupancy/cost_map", late.append, qos)
    watcher.wait(lambda: late)


def test_a_camera_lost_and_back(watch, bag):
    watcher = watch()
    play(bag, "--rate", 0.5, "--drop", FRONT, "--drop_from", 0.3, "--drop_to", 0.6)
    pairs = [(s["camera CAM_FRONT"][0], s["camera CAM_BACK_LEFT"][0]) for s in watcher.statuses]
    assert (2, 0) in pairs
    seen = stamps(watcher)
    span = 29 * 100e6
    shares = [(stamp - seen[0]) / span for stamp in seen]
    assert any(share > 0.65 for share in shares)  # it comes back
    gap = max(b - a for a, b in itertools.pairwise(shares))
    assert gap > 0.25  # and without it nothing is made up


@pytest.fixture(scope="module")
def uneven_bag(robot, bag_of, tmp_path_factory):
    """Cycles 50 or 100 ms apart, as nuScenes' cameras fire: the last camera of one is 7 ms before the next one."""

    class Uneven(robot):
        def cycle_start_ns(self, cycle):
            steps = itertools.islice(itertools.cycle((100, 50, 100, 100, 50)), cycle)
            return super().cycle_start_ns(0) + sum(steps) * 1_000_000

    return bag_of(tmp_path_factory.mktemp("bags") / "uneven", Uneven(RIG, cycles=40).events())


@pytest.mark.parametrize(("loss", "jitter_ms"), [(0.0, 0.0), (0.1, 20.0)])
def test_no_set_mixes_cycles(watch, uneven_bag, monkeypatch, loss, jitter_ms):
    """Every picture carries its cycle's number as a grey value; a set that reaches the network holds one number."""
    from gsocc_core import OccupancyPredictor

    sets, predict = [], OccupancyPredictor.predict

    def spy(self, images, cameras, **details):
        if "reference_stamp_ns" in details:  # not the warm-up
            sets.append([round(float(image[..., 0].mean()) / 20) for image in images if image is not None])
        return predict(self, images, cameras, **details)

    monkeypatch.setattr(OccupancyPredictor, "predict", spy)
    watcher = watch()
    play(uneven_bag, "--loops", 2, "--loss", loss, "--jitter_ms", jitter_ms)
    watcher.wait(lambda: len(watcher.grids) > 5)
    assert len(sets) > 8
    assert all(len(one) == len(RIG.cameras) for one in sets)
    assert [one for one in sets if len(set(one)) > 1] == []
    assert len({one[0] for one in sets}) > 4, "the numbers tell cycles apart"


def test_transforms_that_come_late(watch, bag):
    watcher = watch()
    process = player(bag, "--rate", 0.5, "--late_tf_s", 2.0)
    watcher.wait(lambda: watcher.worst("output")[0] == 2, 30)
    assert not watcher.grids
    process.communicate(timeout=60)
    watcher.wait(lambda: len(watcher.grids) > 2)


def test_a_bag_loop_starts_anew(watch, bag):
    watcher = watch()
    play(bag, "--loops", 2)
    seen = stamps(watcher)
    jumps = [i for i in range(1, len(seen)) if seen[i] < seen[i - 1]]
    assert len(jumps) == 1
    assert len(seen) - jumps[0] > 3


def test_a_picture_that_does_not_decode_costs_its_set_only(watch, robot, bag_of, tmp_path):
    drive = robot(RIG, cycles=20, cycle_ms=100.0)
    events = drive.events()
    broken = [e for e in events if e.topic == FRONT][5]
    broken.message.data = broken.message.data[:40]
    watcher = watch()
    play(bag_of(tmp_path / "broken", events), "--rate", 0.3)
    assert drive.reference_ns(5) not in stamps(watcher)
    assert any(stamp > drive.reference_ns(5) for stamp in stamps(watcher))
    level, text = watcher.worst("output")
    assert level >= 1
    assert FRONT in text or "no complete set" in text


def test_a_calibration_that_is_not_finite_is_told_and_the_right_one_taken(watch, robot, bag_of, tmp_path):
    events = robot(RIG, cycles=30, cycle_ms=100.0).events()
    info = RIG.camera("CAM_BACK").camera_info_topic
    for event in events:
        if event.topic == info and event.stamp_ns < events[0].stamp_ns + 1_500_000_000:
            event.message.d[1] = float("nan")
    watcher = watch()
    play(bag_of(tmp_path / "nan", events), "--rate", 0.5)
    told = [s["output"][1] for s in watcher.statuses]
    assert any(f"{info}: d: expected finite coefficients" in text for text in told)
    watcher.wait(lambda: watcher.grids)


def test_a_fault_of_ours_costs_its_set_and_is_shown_with_its_traceback(watch, bag, monkeypatch):
    from gsocc_ros.pipeline.camera_poses import CameraPoses

    place, calls, lines = CameraPoses.cameras, itertools.count(), []

    def stumbling(self, *rest):
        if next(calls) % 2 == 0:
            raise ZeroDivisionError("no such number")
        return place(self, *rest)

    monkeypatch.setattr(CameraPoses, "cameras", stumbling)
    watcher = watch()
    monkeypatch.setattr(
        watcher.node._faults, "_logger", type("Log", (), {"error": lambda _, text: lines.append(text)})()
    )
    play(bag)
    watcher.wait(lambda: len(watcher.grids) > 3)
    assert lines[0].startswith("a set or message is lost: ZeroDivisionError: no such number\nTraceback")
    assert "in stumbling" in lines[0]
    assert not any("Traceback" in line for line in lines[1:])
    assert watcher.node.pipeline.counters().lost > 3


def test_a_wrong_encoding_is_told_by_topic_and_name(watch, robot, bag_of, tmp_path):
    rig = Rig.load("example_four_cameras")
    raw = next(camera for camera in rig.cameras if camera.transport == "raw")
    events = robot(rig, cycles=30, cycle_ms=100.0).events()
    for event in events:
        if event.topic == raw.topic and event.stamp_ns < events[0].stamp_ns + 1_500_000_000:
            event.message.encoding = "sepia8"
    watcher = watch(rig="example_four_cameras")
    play(bag_of(tmp_path / "encoding", events), "--rate", 0.5)
    told = [s["output"][1] for s in watcher.statuses if "sepia8" in s["output"][1]]
    assert told
    assert raw.topic in told[0]
    assert "encoding" in told[0]
    watcher.wait(lambda: watcher.grids)  # the right encoding is taken again


def test_a_qos_mismatch_is_told(watch, bag):
    watcher = watch(image_reliability="reliable")
    process = player(bag, "--best_effort", FRONT)
    watcher.wait(lambda: any("QoS" in s["camera CAM_FRONT"][1] for s in watcher.statuses), 40)
    process.terminate()
    process.communicate()
    assert not watcher.grids


def test_diagnostics_carry_the_time_of_the_clock_topic(watch):
    from diagnostic_msgs.msg import DiagnosticArray
    from rosgraph_msgs.msg import Clock

    watcher, stamped = watch(use_sim_time=True), []
    watcher.ear.create_subscription(DiagnosticArray, "/diagnostics", lambda m: stamped.append(m.header.stamp), 10)
    clock = watcher.ear.create_publisher(Clock, "/clock", 10)
    for second in (1234, 7):  # back, too, as in a loop of a recording

        def heard(second=second):
            message = Clock()
            message.clock.sec = second
            clock.publish(message)
            return bool(stamped) and stamped[-1].sec == second

        watcher.wait(heard)


def test_qos_of_an_output_can_be_overridden(watch):
    from rclpy.qos import ReliabilityPolicy

    watcher = watch(**{"qos_overrides./occupancy/grid.publisher.reliability": "best_effort"})
    for topic, expected in (("grid", ReliabilityPolicy.BEST_EFFORT), ("voxels", ReliabilityPolicy.RELIABLE)):
        offers = watcher.node.get_publishers_info_by_topic(f"/occupancy/{topic}")
        assert [offer.qos_profile.reliability for offer in offers] == [expected]
    assert watcher.change("deactivate")
    assert watcher.change("cleanup")
    watcher.start()


def test_qos_of_one_input_can_be_overridden(watch, bag):
    """One camera that sends best effort, at a node that else wants reliable ones."""
    watcher = watch(image_reliability="reliable", **{f"qos_overrides.{FRONT}.subscription.reliability": "best_effort"})
    play(bag, "--best_effort", FRONT)
    watcher.wait(lambda: len(watcher.grids) > 3)
    assert watcher.worst("camera CAM_FRONT")[1].find("QoS") < 0
    assert watcher.change("deactivate")
    assert watcher.change("activate")


def test_a_player_that_is_killed_and_another_one(watch, bag):
    watcher = watch()
    process = player(bag, "--rate", 0.5)
    watcher.wait(lambda: len(watcher.grids) > 1, 30)
    process.kill()
    process.communicate()
    watcher.wait(lambda: watcher.statuses[-1]["camera CAM_FRONT"][0] == 2)
    before = len(watcher.grids)
    play(bag)
    watcher.wait(lambda: len(watcher.grids) > before)


def test_twenty_times_off_and_on_leaves_nothing(watch, bag):
    watcher = watch()
    sizes = []
    for _ in range(20):
        assert all(watcher.change(to) for to in ("deactivate", "cleanup", "configure", "activate"))
        sizes.append((resident_mb(), threading.active_count(), len(list(watcher.node.subscriptions))))
    assert sizes[-1][1] <= sizes[2][1]
    assert sizes[-1][2] == sizes[0][2]
    assert sizes[-1][0] - sizes[4][0] < 30, sizes
    play(bag)
    watcher.wait(lambda: watcher.grids)


def test_a_wrong_configuration_fails_and_may_be_tried_again(watch, bag, tmp_path):
    watcher = watch(start=False, rig=str(tmp_path / "none.yaml"))
    assert not watcher.change("configure")
    from rclpy.parameter import Parameter

    assert watcher.node.set_parameters([Parameter("rig", value="nuscenes")])[0].successful
    low, loaded = watcher.node.get_parameter("obstacle_low_m").value, []
    watcher.node.load = lambda *words: loaded.append(
        words
    )  # takes seconds: nobody waits for it to be told of a wrong rule
    assert watcher.node.set_parameters([Parameter("obstacle_low_m", value=5.0)])[0].successful
    assert not watcher.change("configure")
    assert not loaded
    del watcher.node.load
    assert watcher.node.set_parameters([Parameter("obstacle_low_m", value=low)])[0].successful
    watcher.start()
    results = watcher.node.set_parameters(
        [Parameter("stale_s", value=-1.0), Parameter("latency_budget_ms", value=50.0)]
    )
    assert [r.successful for r in results] == [False, True]
    assert "stale_s" in results[0].reason or "range" in results[0].reason
    assert watcher.node.settings.latency_budget_ms == 50.0
    late = watcher.node.set_parameters([Parameter("rig", value="other")])[0]
    assert not late.successful
    assert "unconfigured" in late.reason


def test_a_whole_number_is_taken_for_a_double(watch):
    watcher = watch(start=False, stale_s=2, obstacle_low_m=0)
    from rcl_interfaces.msg import ParameterType

    assert watcher.node.settings.stale_s == watcher.node.get_parameter("stale_s").value == 2.0
    described = watcher.node.describe_parameters(["stale_s", "obstacle_low_m"])
    assert [one.type for one in described] == [ParameterType.PARAMETER_DOUBLE] * 2
    assert described[0].floating_point_range[0].to_value == 3600.0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("threads:=two", "parameter threads: expected a value of type integer, received 'two'"),
        ("stale_s:=0", "parameter stale_s: expected 0.05 ... 3600, received 0"),
    ],
)
def test_a_wrong_value_at_start_is_one_line(given, expected):
    done = subprocess.run(node_process(given), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_a_lazy_node_predicts_while_somebody_hears_it(watch, bag):
    watcher = watch(lazy=True)
    for subscription in list(watcher.ear.subscriptions):
        if subscription.topic_name.startswith("/occupancy/"):
            watcher.ear.destroy_subscription(subscription)
    watcher.wait(lambda: watcher.statuses and "nobody hears" in watcher.statuses[-1]["output"][1])
    play(bag, "--rate", 3.0)
    assert watcher.node.pipeline.counters().sets == 0
    assert any(s["camera CAM_FRONT"][1] == "receiving" for s in watcher.statuses), "pictures come nevertheless"
    from gsocc_ros.msg import StageLatency

    watcher.ear.create_subscription(StageLatency, "/occupancy/latency", watcher.stages.append, 100)
    watcher.wait(watcher.node._is_wanted)
    play(bag, "--rate", 3.0)
    watcher.wait(lambda: watcher.stages)


def test_services(watch, bag, tmp_path, tiny_bundle, monkeypatch):
    from gsocc_ros.srv import LoadBundle, SaveSnapshot
    from std_srvs.srv import SetBool, Trigger

    watcher = watch()
    nothing = call(watcher, SaveSnapshot, "/occupancy/save_snapshot", folder=str(tmp_path / "early"))
    assert (nothing.success, nothing.message) == (
        False,
        "~/save_snapshot: prediction: expected one to save, received none yet",
    )
    assert call(watcher, SetBool, "/occupancy/enable", data=False).success
    play(bag, "--rate", 2.0)
    assert not watcher.grids
    assert call(watcher, SetBool, "/occupancy/enable", data=True).success
    play(bag)
    watcher.wait(lambda: watcher.grids)
    monkeypatch.setenv("HOME", str(tmp_path))
    saved = call(watcher, SaveSnapshot, "/occupancy/save_snapshot", folder="~/shot")
    assert saved.success, saved.message
    about = json.loads((tmp_path / "shot" / "snapshot.json").read_text())
    assert about["bundle"] == "tiny"
    assert about["reference_stamp_ns"] in stamps(watcher)
    assert not call(watcher, SaveSnapshot, "/occupancy/save_snapshot", folder=str(tmp_path / "shot")).success
    assert call(watcher, Trigger, "/occupancy/reset").success
    wrong = call(watcher, LoadBundle, "/occupancy/load_bundle", bundle=str(tmp_path))
    assert not wrong.success
    assert call(watcher, LoadBundle, "/occupancy/load_bundle", bundle=str(tiny_bundle)).success
    before = len(watcher.grids)
    play(bag)
    watcher.wait(lambda: len(watcher.grids) > before)
