# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What ``ros2 bag record`` writes of a service with introspection does not keep the other topics from being read."""

import os
import signal
import subprocess
import time

import pytest

from gsocc_core.errors import DataError
from gsocc_ros.bags.bag_files import open_bag, read_messages

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")
pytest.importorskip("rosbag2_py")

SERVICES = {
    "/plain/_service_event": "std_srvs/srv/SetBool_Event",
    "/nested/_service_event": "nav_msgs/srv/GetMap_Event",
}


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_service_events_of_a_real_recorder(tmp_path, monkeypatch, storage):
    from nav_msgs.srv import GetMap
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import qos_profile_system_default
    from rclpy.service_introspection import ServiceIntrospectionState
    from std_msgs.msg import Header
    from std_srvs.srv import SetBool

    monkeypatch.setenv("ROS_DOMAIN_ID", str(40 + os.getpid() % 60))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = rclpy.Context()
    rclpy.init(context=context)
    node, executor = rclpy.create_node("server", context=context), SingleThreadedExecutor(context=context)
    executor.add_node(node)
    publisher = node.create_publisher(Header, "/header", 10)
    clients = []
    for kind, name in ((SetBool, "plain"), (GetMap, "nested")):
        service = node.create_service(kind, name, lambda request, response: response)
        service.configure_introspection(
            node.get_clock(), qos_profile_system_default, ServiceIntrospectionState.CONTENTS
        )
        clients.append((node.create_client(kind, name), kind))
    bag = tmp_path / "bag"
    words = ["ros2", "bag", "record", "-s", storage, "-o", str(bag), "--topics", "/header", "--all-services"]
    recorder = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while publisher.get_subscription_count() == 0 and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.05)
        for k in range(20):
            publisher.publish(Header(frame_id=str(k)))
            for client, kind in clients:
                client.call_async(kind.Request())
            for _ in range(10):
                executor.spin_once(timeout_sec=0.02)
    finally:
        recorder.send_signal(signal.SIGINT)
        recorder.wait(30)
        node.destroy_node()
        rclpy.try_shutdown(context=context)
    with open_bag(bag) as recording:
        found = {name: (info.msgtype, info.msgcount) for name, info in recording.topics.items()}
        headers = [message.frame_id for _, _, message in read_messages(recording, ["/header"])]
        for topic, kind in SERVICES.items():
            assert found[topic][0] == kind
            with pytest.raises(DataError, match=f"^{topic}: definition: expected a"):
                recording.types_of(next(c for c in recording.connections if c.topic == topic))
    assert headers == sorted(headers, key=int)
    assert headers[-1] == "19"
    assert sum(found[topic][1] for topic in SERVICES) > 0
