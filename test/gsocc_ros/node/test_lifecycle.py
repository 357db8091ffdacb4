# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A lifecycle manager, and whoever else asks for transitions, over DDS."""

import signal
import subprocess

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]
rclpy = pytest.importorskip("rclpy")
from .watching import node_process, play  # noqa: E402 - after the skip

#: What Nav2's lifecycle manager asks of its nodes, and the state that it then wants to find: start-up, pause, resume,
#: reset, start-up, shutdown.
MANAGED = [
    ("configure", "inactive"), ("activate", "active"), ("deactivate", "inactive"), ("activate", "active"),
    ("deactivate", "inactive"), ("cleanup", "unconfigured"), ("configure", "inactive"), ("activate", "active"),
    ("deactivate", "inactive"), ("cleanup", "unconfigured"), ("unconfigured_shutdown", "finalized"),
]  # fmt: skip


def test_a_lifecycle_manager_leads_the_node_through_its_life(watch, bag):
    watcher = watch(start=False)
    heard = 0
    for transition, state in MANAGED:
        assert watcher.change(transition)
        assert watcher.state == state
        if state == "active":
            play(bag, "--rate", 2.0)
            watcher.wait(lambda heard=heard: len(watcher.grids) > heard)
        heard = len(watcher.grids)


@pytest.mark.parametrize(
    ("way", "state", "refused"),
    [
        ((), "unconfigured", ("activate", "deactivate", "cleanup", "active_shutdown")),
        (("configure",), "inactive", ("configure", "deactivate", "unconfigured_shutdown", "active_shutdown")),
        (("configure", "activate"), "active", ("configure", "activate", "cleanup", "inactive_shutdown")),
        (("unconfigured_shutdown",), "finalized", ("configure", "activate", "deactivate", "cleanup")),
    ],
)
def test_a_request_out_of_order_is_refused_and_the_node_lives(watch, way, state, refused):
    watcher = watch(start=False)
    assert all(watcher.change(transition) for transition in way)
    for transition in refused:
        assert not watcher.change(transition)
        assert watcher.state == state
    if state != "finalized":
        assert watcher.change(f"{state}_shutdown")
    assert watcher.state == "finalized"
    assert watcher.thread.is_alive()


def test_a_node_that_activates_itself_survives_a_manager(tiny_bundle):
    """The manager comes at once, when the node is still busy with its own start."""
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState, GetState

    process = subprocess.Popen(node_process(f"bundle:={tiny_bundle}"), stderr=subprocess.PIPE, text=True)
    manager = rclpy.create_node("manager")
    answers = []
    try:
        for kind, name in ((ChangeState, "change_state"), (GetState, "get_state"), (ChangeState, "change_state")):
            request = kind.Request()
            if kind is ChangeState:
                request.transition = Transition(id=Transition.TRANSITION_CONFIGURE)
            client = manager.create_client(kind, f"/occupancy/{name}")
            assert client.wait_for_service(30.0)
            future = client.call_async(request)
            # An answer to a client that the starting node has not discovered yet gets lost, and nothing depends on it.
            rclpy.spin_until_future_complete(manager, future, timeout_sec=60.0 if answers else 5.0)
            answers.append(future.result())
        assert answers[1].current_state.label in {"active", "inactive"}
        assert not answers[2].success
        assert process.poll() is None
    finally:
        manager.destroy_node()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
