# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras that cannot be placed or whose stamps are wrong: left out where the rig allows it, and named."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest

from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline

from .played import MS, NUSCENES, Recorder, collected


def spoil(events, how):
    """Events of which those of CAM_BACK are wrong in one way."""
    for event in events:
        if event.topic == "/cam_back/camera_info":
            if how == "none":
                continue
            if how == "K = 0":
                event.message.k[:] = 0
            if how == "lens":
                event.message.distortion_model = "of another world"
        if how == "frame" and event.topic == "/cam_back/image/compressed":
            event.message.header.frame_id = "rear_cam"
        yield event


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("frame", "/cam_back/image/compressed: frame_id: expected a frame connected to base_link"),
        ("none", "/cam_back/camera_info: CameraInfo: expected a message before the picture, received none"),
        ("K = 0", "/cam_back/camera_info: k: expected a calibrated camera"),
        ("lens", "/cam_back/camera_info: distortion_model: expected one of "),
    ],
)
def test_a_camera_that_cannot_be_placed_is_left_out_where_the_rig_allows_it(robot, how, reason):
    rig = replace(NUSCENES, min_cameras=5)
    run = with_a_spoilt_camera(rig, robot, how)
    assert [len(call.cameras) for call in run.before] == [5] * len(run.before)
    assert len(run.before) >= 4, "it is waited for once, and the sets behind that one go at once"
    assert set(run.found) == {"CAM_BACK"}
    assert run.found["CAM_BACK"].startswith(reason)
    assert [len(call.cameras) for call in run.after][-1] == 6, "when it is right after all"
    assert run.found_after == {}
    assert all(reason in fault for fault in run.faults)


@pytest.mark.parametrize("changes", [{}, {"min_cameras": 5, "policy": "anchor", "anchor": "CAM_BACK"}])
def test_a_camera_that_sets_need_is_not_left_out(robot, changes):
    run = with_a_spoilt_camera(replace(NUSCENES, **changes), robot, "frame")
    assert run.before == []
    assert run.faults[0].startswith("/cam_back/image/compressed: frame_id: expected a frame connected to base_link")
    assert len(run.after[-1].cameras) == 6


def with_a_spoilt_camera(rig, robot, how):
    """Calls of the predictor while one camera is wrong and after it has been mended, and what was told."""
    predictor, faults = Recorder(), []
    pipeline = OccupancyPipeline(rig, predictor, newest_only=True)

    def feed(events):
        for event in events:
            with collected(faults):
                if event.topic in pipeline._handlers:
                    pipeline.feed(event.topic, event.message)
                if (ready := pipeline.take()) is not None:
                    pipeline.predict(ready)

    events = robot(rig, cycles=11).events()
    end = next(n for n, event in enumerate(events) if event.stamp_ns > events[0].stamp_ns + 690 * MS)
    feed(spoil(copy.deepcopy(events[:end]), how))
    before, found = list(predictor.calls), pipeline.camera_faults()
    feed(events[end:])
    pipeline.close()
    after = predictor.calls[len(before) :]
    return SimpleNamespace(before=before, after=after, found=found, found_after=pipeline.camera_faults(), faults=faults)


def test_a_camera_whose_clock_is_wrong_is_named(robot):
    pipeline = OccupancyPipeline(NUSCENES, Recorder())
    for event in robot(NUSCENES, cycles=10).events():
        if event.topic == "/cam_back/image/compressed":
            event.message.header.stamp.nanosec += 20 * MS
        if event.topic in pipeline._handlers:
            pipeline.feed(event.topic, event.message)
    assert list(faults := pipeline.camera_faults()) == ["CAM_BACK"]
    assert faults["CAM_BACK"].startswith("it fires 20.0 ms later than its trigger_offset_ms says, beside the other")
    assert pipeline.counters().sets == 0
    pipeline.close()
