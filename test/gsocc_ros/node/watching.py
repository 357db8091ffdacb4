# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The node under test in this process or another one, an ear on its topics, and recordings for it to hear."""

import gc
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from gsocc_ros.pipeline.rig import Rig

rclpy = pytest.importorskip("rclpy")

HERE = Path(__file__).parent
RIG = Rig.load("nuscenes")
FRONT = RIG.camera("CAM_FRONT").topic


class Watcher:
    """The node under test in this process, and an ear on its topics."""

    def __init__(self, bundle, **parameters):
        from diagnostic_msgs.msg import DiagnosticArray
        from gsocc_ros.msg import SemanticOccupancy, StageLatency
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.parameter import Parameter
        from sensor_msgs.msg import PointCloud2

        from gsocc_ros.node.occupancy_node import OccupancyNode

        values = {"bundle": str(bundle), "auto_activate": False, "diagnostics_period_s": 0.1, "stale_s": 0.5}
        overrides = [Parameter(name, value=value) for name, value in {**values, **parameters}.items()]
        self.node = OccupancyNode(parameter_overrides=overrides)
        self.ear = rclpy.create_node("ear")
        self.grids, self.clouds, self.stages, self.statuses = [], [], [], []
        self.ear.create_subscription(SemanticOccupancy, "/occupancy/grid", self.grids.append, 100)
        self.ear.create_subscription(PointCloud2, "/occupancy/voxels", self.clouds.append, 100)
        self.ear.create_subscription(StageLatency, "/occupancy/latency", self.stages.append, 100)
        self.ear.create_subscription(DiagnosticArray, "/diagnostics", self._diagnose, 100)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.executor.add_node(self.ear)
        self.running = True
        self.thread = threading.Thread(target=self._spin)
        self.thread.start()

    def _spin(self):
        while self.running:
            self.executor.spin_once(timeout_sec=0.05)

    def _diagnose(self, message):
        self.statuses.append({s.name.split(": ")[1]: (ord(s.level), s.message) for s in message.status})

    def change(self, transition):
        """Ask for a transition as a lifecycle manager does; whether it succeeded."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        number = getattr(Transition, f"TRANSITION_{transition.upper()}")
        return call(self, ChangeState, "/occupancy/change_state", transition=Transition(id=number)).success

    @property
    def state(self):
        from lifecycle_msgs.srv import GetState

        return call(self, GetState, "/occupancy/get_state").current_state.label

    def start(self):
        assert self.change("configure")
        assert self.change("activate")
        return self

    def close(self):
        self.running = False
        self.thread.join()
        with suppress(RuntimeError):  # a test may have shut it down already
            self.node.trigger_shutdown()
        for node in (self.node, self.ear):
            self.executor.remove_node(node)
            node.destroy_node()

    def worst(self, name):
        return max((s[name] for s in self.statuses if name in s), default=(0, ""))

    def wait(self, condition, seconds=15.0):
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            time.sleep(0.02)
        assert condition(), (len(self.grids), self.statuses[-1:])


def player(bag, *options):
    """A recording from another process."""
    words = [sys.executable, str(HERE / "player.py"), str(bag), *map(str, options)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def play(bag, *options):
    process = player(bag, *options)
    assert "played" in process.communicate(timeout=90)[0]


def stamps(watcher):
    return [m.header.stamp.sec * 1_000_000_000 + m.header.stamp.nanosec for m in watcher.grids]


def call(watcher, kind, name, **fields):
    client = watcher.ear.create_client(kind, name)
    assert client.wait_for_service(10.0)
    future = client.call_async(kind.Request(**fields))
    watcher.wait(future.done, 60)
    return future.result()


def node_process(*parameters):
    """Words that start the node in a process of its own, which hears SIGHUP even where the tests run under nohup."""
    code = (
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        "from gsocc_ros.node.process import main; sys.exit(main(sys.argv[1:]))"
    )
    return [sys.executable, "-c", code, "--ros-args", *(word for p in parameters for word in ("-p", p))]


def resident_mb():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
