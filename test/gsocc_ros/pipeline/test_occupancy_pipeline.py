# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The pipeline hands the predictor the right pictures, cameras, poses and times, and names what is wrong."""

import copy
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gsocc_core.errors import ConfigError, DataError
from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline
from gsocc_ros.pipeline.transform_buffer import TransformBuffer

from .played import FOUR, MS, NUSCENES, Recorder, play


def test_six_cameras_reach_the_predictor_with_poses_at_their_own_stamps(robot):
    drive = robot(NUSCENES, cycles=5, cycle_ms=50.0)
    run = play(drive.events(), NUSCENES)
    assert [call.reference for call in run.predictor.calls] == [drive.reference_ns(c) for c in range(5)]
    for cycle, call in enumerate(run.predictor.calls):
        assert [camera.name for camera in call.cameras] == [camera.name for camera in NUSCENES.cameras]
        assert all(abs(int(image[0, 0, 0]) - 20 * cycle) <= 3 for image in call.images)
        for i, (camera, stamp) in enumerate(zip(call.cameras, call.stamps, strict=True)):
            np.testing.assert_allclose(camera.T_ego_cam[:3, 3], [i, 0, 1.5], atol=1e-12)
            np.testing.assert_allclose(camera.T_ego_cam[:3, 2], [1, 0, 0], atol=1e-12)  # looks ahead
            moved = 10.0 * (stamp - call.reference) / 1e9
            np.testing.assert_allclose(camera.T_ref_ego[:3, 3], [moved, 0, 0], atol=1e-9)
        np.testing.assert_allclose(call.T[0, 3], 10.0 * (call.reference - drive.cycle_start_ns(0)) / 1e9)
    assert run.results[0].latency_ms.keys() == {"sync", "decode", "network", "splat"}
    assert run.counters.sets == 5
    assert run.counters.without_ego_motion == 0


def test_four_cameras_of_two_sizes_one_of_them_raw(robot):
    sizes = {"front": (128, 96), "rear": (128, 96)}
    drive = robot(FOUR, sizes=sizes, size=(64, 36), cycles=3)
    run = play(drive.events(), FOUR)
    assert len(run.results) == 3
    call = run.predictor.calls[2]
    shapes = {camera.name: image.shape for camera, image in zip(call.cameras, call.images, strict=True)}
    assert shapes == {"front": (96, 128, 3), "rear": (96, 128, 3), "left": (36, 64, 3), "right": (36, 64, 3)}
    rear = call.images[[camera.name for camera in call.cameras].index("rear")]
    assert rear[0, 0].tolist() == [40, 215, 128]  # bgr8 became RGB
    assert call.reference == drive.cycle_start_ns(2)


def test_a_small_network_gets_smaller_pictures_of_the_same_cameras(robot):
    drive = robot(NUSCENES, size=(640, 360), cycles=1)
    run = play(drive.events(), NUSCENES, Recorder(least_size=(50, 100)))
    call = run.predictor.calls[0]
    assert call.images[0].shape == (90, 160, 3)
    assert (call.cameras[0].width, call.cameras[0].height) == (640, 360)
    np.testing.assert_allclose(call.cameras[0].intrinsics[:2], [[320, 0, 320], [0, 320, 180]])


def test_a_silent_camera_is_handed_on_as_missing(robot):
    rig = replace(NUSCENES, min_cameras=5)
    events = robot(rig, cycles=4).events()
    events = [e for e in events if e.topic != "/cam_back/image/compressed"]
    run = play(events, rig)
    assert len(run.results) == 4
    call = run.predictor.calls[-1]
    missing = [camera.name for camera, image in zip(call.cameras, call.images, strict=True) if image is None]
    assert missing == ["CAM_BACK"]
    without_info = [e for e in events if not e.topic.startswith("/cam_back/")]
    run = play(without_info, rig)
    assert [len(call.cameras) for call in run.predictor.calls] == [5] * 4


def test_transforms_that_come_late_are_waited_for(robot):
    drive = robot(NUSCENES, cycles=6)
    events = drive.events()
    late = [replace(e, stamp_ns=e.stamp_ns + 130 * MS) if e.topic == "/tf" else e for e in events]
    run = play(sorted(late, key=lambda e: e.stamp_ns), NUSCENES)
    assert len(run.results) == 6
    assert run.counters.without_ego_motion == 0
    assert all(call.cameras[0].T_ref_ego is not None for call in run.predictor.calls)


def test_without_odometry_the_robot_counts_as_standing_still(robot):
    events = [e for e in robot(NUSCENES, cycles=6).events() if e.topic != "/tf"]
    run = play(events, NUSCENES)
    assert len(run.results) == 6
    assert run.counters.without_ego_motion == 6
    assert all(call.T is None and call.cameras[0].T_ref_ego is None for call in run.predictor.calls)
    still = replace(NUSCENES, fixed_frame=None)
    assert play(events, still).counters.without_ego_motion == 0


def test_frames_that_are_not_connected_are_told_once_their_camera_is_known(robot):
    pipeline = OccupancyPipeline(NUSCENES, Recorder())
    assert pipeline.transform_faults() == {}
    events = robot(NUSCENES, frames={"CAM_BACK": "rear_cam"}, cycles=1).events()
    for event in events:
        if event.topic.endswith("camera_info"):
            pipeline.feed(event.topic, event.message)
    assert set(pipeline.transform_faults()) == {*(c.name for c in NUSCENES.cameras), NUSCENES.fixed_frame}
    for event in events:
        if event.topic in {"/tf", "/tf_static"}:
            pipeline.feed(event.topic, event.message)
    faults = pipeline.transform_faults()
    assert set(faults) == {"CAM_BACK"}
    assert "rear_cam" in faults["CAM_BACK"]
    pipeline.close()


def test_a_wrong_frame_names_topic_frame_and_tree(robot):
    drive = robot(NUSCENES, frames={"CAM_BACK": "rear_cam"}, cycles=6)
    with pytest.raises(DataError, match=r"/cam_back/image/compressed: frame_id: .*base_link.*'rear_cam'.*'cam_back'"):
        play(drive.events(), NUSCENES)
    cameras = tuple(replace(c, frame="cam_back") if c.name == "CAM_BACK" else c for c in NUSCENES.cameras)
    assert len(play(drive.events(), replace(NUSCENES, cameras=cameras)).results) == 6


def test_a_faulty_set_is_dropped_and_the_next_one_goes_on(robot):
    events = robot(NUSCENES, cycles=8).events()
    pipeline = OccupancyPipeline(NUSCENES, Recorder())
    faults, results = 0, 0
    for event in events:
        if event.topic == "/tf_static":
            continue
        pipeline.feed(event.topic, event.message)
        if event.stamp_ns > events[0].stamp_ns + 500 * MS:
            pipeline.feed("/tf_static", events[0].message)
        try:
            while pipeline.take() is not None:
                results += 1
        except DataError:
            faults += 1
    assert faults >= 1
    assert results >= 4
    pipeline.close()


class Troubled(TransformBuffer):
    """A transform tree that a programming error befell at some stamps."""

    stamps: tuple[int, ...] = ()

    def lookup(self, target, source, stamp_ns=None, tolerance_ns=0):
        if stamp_ns in self.stamps:
            raise IndexError(f"no answer for {source}")
        return super().lookup(target, source, stamp_ns, tolerance_ns)


@pytest.mark.parametrize("newest_only", [False, True])
def test_whatever_a_set_raises_it_is_dropped_counted_and_the_next_one_comes(robot, newest_only):
    drive, frames = robot(NUSCENES, cycles=6), Troubled()
    frames.stamps = (drive.reference_ns(1), drive.reference_ns(4))
    pipeline = OccupancyPipeline(NUSCENES, Recorder(), newest_only=newest_only, transforms=frames)
    topics, faults, found = {item.topic for item in pipeline.subscriptions}, [], []
    for event in drive.events():
        if event.topic in topics:
            pipeline.feed(event.topic, event.message)
        try:
            if (ready := pipeline.take()) is not None:
                found.append(ready.synced.reference_stamp_ns)
        except IndexError as error:
            faults.append(str(error))
    assert found == [drive.reference_ns(cycle) for cycle in (0, 2, 3, 5)]
    assert faults == ["no answer for base_link"] * 2
    counters = pipeline.counters()
    assert (counters.sets, counters.lost, counters.superseded) == (6, 2, 0)
    assert not pipeline._pending, "no picture is held"
    pipeline.close()


def test_a_fault_of_the_newest_set_does_not_cost_the_one_before(robot):
    drive, frames = robot(NUSCENES, cycles=6), Troubled()
    frames.stamps = (drive.reference_ns(5),)
    pipeline = OccupancyPipeline(NUSCENES, Recorder(), newest_only=True, transforms=frames)
    for event in drive.events():
        pipeline.feed(event.topic, event.message)
    assert pipeline.take().synced.reference_stamp_ns == drive.reference_ns(4)
    with pytest.raises(IndexError):
        pipeline.take()
    assert pipeline.take() is None
    counters = pipeline.counters()
    assert (counters.sets, counters.superseded, counters.lost) == (6, 4, 1)
    pipeline.close()


class Asked(TransformBuffer):
    """A transform tree that remembers when it was asked for."""

    def __init__(self):
        super().__init__()
        self.stamps = []

    def lookup(self, target, source, stamp_ns=None, tolerance_ns=0):
        self.stamps.append(stamp_ns)
        return super().lookup(target, source, stamp_ns, tolerance_ns)


def test_sets_that_are_passed_over_are_not_placed(robot):
    drive, frames = robot(NUSCENES, cycles=6), Asked()
    pipeline = OccupancyPipeline(NUSCENES, Recorder(), newest_only=True, transforms=frames)
    for event in drive.events():
        pipeline.feed(event.topic, event.message)
    synced = pipeline.take().synced
    assert synced.reference_stamp_ns == drive.reference_ns(5)
    assert set(frames.stamps) == {synced.reference_stamp_ns, *(frame.stamp_ns for frame in synced.frames.values())}
    assert pipeline.counters().superseded == 5
    pipeline.close()


def test_only_sets_that_are_taken_count_as_without_ego_motion(robot):
    """Without any transform sets are looked at again and again, and lost one by one."""
    pipeline = OccupancyPipeline(NUSCENES, Recorder(), newest_only=True)
    for event in robot(NUSCENES, cycles=14).events():
        if event.topic not in {"/tf", "/tf_static"}:
            pipeline.feed(event.topic, event.message)

    def loses_one():
        try:
            assert pipeline.take() is None
        except DataError:
            return True
        return False

    lost = sum(loses_one() for _ in range(14))
    counters = pipeline.counters()
    assert 0 < lost == counters.lost
    assert (counters.sets, counters.published, counters.without_ego_motion) == (14, 0, 0)
    pipeline.close()


def test_a_live_pipeline_waits_for_the_set_that_completes_next(robot, monkeypatch):
    """Sets every 100 ms and predictions of 160 ms: 60 ms after a set completed, the next one is waited for."""
    from gsocc_ros.pipeline import occupancy_pipeline as module

    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0], perf_counter=time.perf_counter))
    drive = robot(NUSCENES, cycles=12, cycle_ms=100.0)
    begin_ns = drive.reference_ns(0)
    pipeline = OccupancyPipeline(NUSCENES, Recorder(), newest_only=True)
    waited, taken, busy_until = 0, [], 0.0
    for event in drive.events():
        now[0] = (event.stamp_ns - begin_ns) * 1e-9
        pipeline.feed(event.topic, event.message)
        if now[0] < busy_until:
            continue
        if busy_until:
            pipeline._rhythm.worked(busy_until)
            busy_until = 0.0
        waited += pipeline.hold_s > 0
        if (ready := pipeline.take()) is not None:
            taken.append(ready.synced.reference_stamp_ns)
            busy_until = now[0] + 0.16
    cycles = [round((stamp - begin_ns) * 1e-8) for stamp in taken]
    assert waited > 0
    assert cycles[-3:] == [cycles[-1] - 4, cycles[-1] - 2, cycles[-1]], "every second set, and never an old one"
    pipeline.close()


def test_a_set_that_the_model_fails_on_is_counted_as_lost(robot):
    class Failing(Recorder):
        def predict(self, images, cameras, **details):
            if details["reference_stamp_ns"] == drive.reference_ns(1):
                raise RuntimeError("out of memory")
            return super().predict(images, cameras, **details)

    drive = robot(NUSCENES, cycles=3)
    pipeline = OccupancyPipeline(NUSCENES, Failing())
    for event in drive.events():
        pipeline.feed(event.topic, event.message)
    pipeline.predict(pipeline.take())
    with pytest.raises(RuntimeError, match="out of memory"):
        pipeline.predict(pipeline.take())
    assert pipeline.predict(pipeline.take()).prediction.reference_stamp_ns == drive.reference_ns(2)
    assert pipeline.counters().lost == 1
    pipeline.close()


def test_a_calibration_that_is_not_finite_is_named_and_holds_no_set(robot):
    pipeline, faults = OccupancyPipeline(NUSCENES, Recorder()), []

    def attempt(call, *args):
        try:
            call(*args)
        except DataError as error:
            faults.append(f"{error.where}: {error.key}")

    topics = {item.topic for item in pipeline.subscriptions}
    for event in robot(NUSCENES, cycles=7).events():
        if event.topic == "/cam_front/camera_info":
            event.message.d[2] = np.nan
        if event.topic in topics:
            attempt(pipeline.feed, event.topic, event.message)
        if event.topic == "/tf":
            attempt(pipeline.take)
    # Sets are lost for what was wrong with the calibration, not for its absence.
    assert set(faults) == {"/cam_front/camera_info: d"}
    assert len(faults) - 7 == pipeline.counters().lost >= 3
    assert set(pipeline.camera_faults()) == {"CAM_FRONT"}
    assert "/cam_front/camera_info: d: expected finite" in pipeline.camera_faults()["CAM_FRONT"]
    assert len(pipeline._pending) <= 3, "those of the last 200 ms"
    pipeline.close()


def test_arms_and_people_beside_the_robot_cost_no_ego_motion(robot):
    """A joint without a rotation in the odometry's own message, and a person seen by two clocks."""
    events = robot(NUSCENES, cycles=8).events()
    for event in events:
        if event.topic == "/tf":
            joint, person = copy.deepcopy(event.message.transforms * 2)
            joint.child_frame_id, joint.transform.rotation.w = "joint", 0.0
            person.child_frame_id = "person"
            person.header.stamp.sec += 3 * (event.stamp_ns // MS % 2)
            event.message.transforms[:] = [joint, person, *event.message.transforms]
    run = play(events, NUSCENES)
    assert (len(run.results), run.counters.without_ego_motion, run.counters.lost) == (8, 0, 0)
    for call in run.predictor.calls:
        for camera, stamp in zip(call.cameras, call.stamps, strict=True):
            np.testing.assert_allclose(camera.T_ref_ego[0, 3], 10.0 * (stamp - call.reference) / 1e9, atol=1e-9)


def test_missing_camera_info_names_its_topic(robot):
    events = [e for e in robot(NUSCENES, cycles=6).events() if e.topic != "/cam_front_left/camera_info"]
    with pytest.raises(DataError, match="/cam_front_left/camera_info: CameraInfo: expected a message"):
        play(events, NUSCENES)


def test_a_picture_that_does_not_decode_names_topic_and_stamp(robot):
    events = robot(NUSCENES, cycles=3).events()
    bad = next(
        e for e in events if e.topic == "/cam_back/image/compressed" and e.stamp_ns > events[0].stamp_ns + 50 * MS
    )
    bad.message.data = bad.message.data[:200].copy()
    with pytest.raises(
        DataError,
        match=f"/cam_back/image/compressed at {bad.stamp_ns} ns: content: expected a JPEG, PNG, BMP",
    ):
        play(events, NUSCENES)


def test_a_picture_of_another_size_than_announced_is_refused(robot):
    drive = robot(NUSCENES, cycles=2)
    other = robot(NUSCENES, cycles=2, size=(64, 48))
    topic = "/cam_front/image/compressed"
    events = [b if a.topic == topic else a for a, b in zip(drive.events(), other.events(), strict=True)]
    with pytest.raises(DataError, match="picture size: expected 64 x 36 pixels as in /cam_front/camera_info"):
        play(events, NUSCENES)


def test_a_bag_loop_forgets_memory_and_goes_on(robot):
    events = robot(NUSCENES, cycles=12).events()
    run = play(events + events + events, NUSCENES)
    assert len(run.results) == 36
    assert run.predictor.resets == 2
    assert [call.reference for call in run.predictor.calls[:12]] == [c.reference for c in run.predictor.calls[12:24]]


def test_a_gap_in_time_forgets_memory(robot):
    events = robot(NUSCENES, cycles=2, cycle_ms=3000.0).events()
    assert play(events, NUSCENES).predictor.resets == 1


def test_only_the_newest_set_is_kept_for_a_slow_worker(robot):
    events = robot(NUSCENES, cycles=8).events()
    pipeline = OccupancyPipeline(NUSCENES, Recorder(), newest_only=True)
    for event in events:
        pipeline.feed(event.topic, event.message)
    ready = pipeline.take()
    assert ready.synced.reference_stamp_ns == robot(NUSCENES).reference_ns(7)
    assert pipeline.take() is None
    assert pipeline.counters().superseded == 7
    pipeline.close()


def test_unwanted_sets_are_not_decoded(robot):
    drive = robot(NUSCENES, cycles=6)
    wanted = {drive.reference_ns(2), drive.reference_ns(4)}
    run = play(drive.events(), NUSCENES, wants=wanted.__contains__)
    assert {call.reference for call in run.predictor.calls} == wanted
    assert run.counters.sets == 6


def test_a_change_of_calibration_is_counted(robot):
    drive, wider = robot(NUSCENES, cycles=2), robot(NUSCENES, cycles=2, size=(128, 72))
    split = drive.cycle_start_ns(1)
    events = [b if a.stamp_ns >= split else a for a, b in zip(drive.events(), wider.events(), strict=True)]
    run = play(events, NUSCENES)
    assert run.counters.calibration_changes == 6
    assert [call.images[0].shape[1] for call in run.predictor.calls] == [64, 128]


def test_an_unknown_topic_is_refused():
    with pytest.raises(ConfigError, match="/cam_up/image"):
        OccupancyPipeline(NUSCENES, Recorder()).feed("/cam_up/image", None)


def test_grouping_and_transforms_cost_little(sent_drive):
    pipeline, spent_s = OccupancyPipeline(NUSCENES, Recorder()), [0.0]
    for event in sent_drive:
        start = time.thread_time()  # of this thread alone, and of the fastest set: a busy machine is no fault of ours
        pipeline.feed(event.topic, event.message)
        is_ready = pipeline.take() is not None
        spent_s[-1] += time.thread_time() - start
        if is_ready:
            spent_s.append(0.0)
    pipeline.close()
    assert len(spent_s) == 11
    assert min(spent_s[:-1]) < 0.015


@pytest.mark.parametrize("live", [True, False])
def test_an_idle_live_pipeline_decodes_ahead_and_each_picture_once(robot, monkeypatch, live):
    from gsocc_ros.pipeline import picture_decoder as module

    decoded, read = [], module.read_picture

    def spy(message, camera, *rest):
        decoded.append((camera.name, message.header.stamp.nanosec))
        return read(message, camera, *rest)

    monkeypatch.setattr(module, "read_picture", spy)
    drive = robot(NUSCENES, cycles=3, cycle_ms=100.0)
    recorder = Recorder()
    pipeline = OccupancyPipeline(NUSCENES, recorder, newest_only=live)
    topics = {item.topic for item in pipeline.subscriptions}
    events = [event for event in drive.events() if event.topic in topics]
    pictures = [event for event in events if "image" in event.topic]
    for event in events:
        pipeline.feed(event.topic, event.message)
        if event is pictures[4]:  # five of the first cycle's six
            pipeline._decoder._threads.submit(lambda: None).result()
            time.sleep(0.2)
            assert len(decoded) == (5 if live else 0)
        while (ready := pipeline.take()) is not None:
            pipeline.predict(ready)
    pipeline.close()
    assert len(recorder.calls) == 3
    assert len(decoded) == len(set(decoded)) == 18
    levels = [{round(float(image[..., 0].mean()) / 20) for image in call.images} for call in recorder.calls]
    assert levels == [{0}, {1}, {2}], "each set holds its own cycle's pictures"


def test_nothing_is_decoded_ahead_behind_a_prediction(robot, monkeypatch):
    from gsocc_ros.pipeline import picture_decoder as module

    decoded, read = [], module.read_picture

    def spy(message, camera, *rest):
        decoded.append(camera.name)
        return read(message, camera, *rest)

    monkeypatch.setattr(module, "read_picture", spy)
    drive = robot(NUSCENES, cycles=6, cycle_ms=100.0)
    pipeline = OccupancyPipeline(NUSCENES, Recorder(), newest_only=True)
    topics = {item.topic for item in pipeline.subscriptions}
    pipeline._predicting = True  # a model that takes its time, in another thread
    for event in drive.events():
        if event.topic in topics:
            pipeline.feed(event.topic, event.message)
    assert decoded == []
    pipeline.predict(pipeline.take())
    assert len(decoded) == 6
    pipeline.close()
