# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The running node over DDS: a sender, the node and a listener, each a process of its own, in a sourced workspace.

What is sent keeps its rate whatever the node does. The first seconds are left out. All ratios are of one run.

    python benchmarks/node_live.py                                       # shipped bundle, six JPEGs of 1600 x 900
    python benchmarks/node_live.py --bundle tiny --cameras 4 --seconds 600
    python benchmarks/node_live.py --outputs 7                           # beside a run with one
    python benchmarks/node_live.py --bundle tiny --cameras 4 --joints 50 # a robot with arms on /tf
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

#: Left out at the beginning, seconds.
WARM_UP_S = 5.0
#: What a listener may hear, in this order; latency and diagnostics always come along.
HEARD = ("grid", "voxels", "markers", "gaussians", "obstacles", "cost_map", "velocities")
#: Stages of occupancy/latency that are the node's and not the predictor's.
AROUND = {"sync", "decode", "messages", "queries", "fusion"}
#: Stands in prepared messages where the sender writes the present stamp.
PLACEHOLDER_NS = 1_234_567_890_987_654_321
NODE = "import sys; from gsocc_ros.node.process import main; sys.exit(main(sys.argv[1:]))"


def stamp_bytes(stamp_ns: int) -> bytes:
    """A builtin_interfaces/Time as it stands in a serialised message."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    return seconds.to_bytes(4, "little") + nanoseconds.to_bytes(4, "little")


# ---- the sender and the listener import neither PyTorch nor gsocc ------------------------------------------------


def send(folder: Path, seconds: float) -> None:
    """Publish the prepared messages at their rates, and write when the last picture of every set was sent."""
    import rclpy
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from rosidl_runtime_py.utilities import get_message

    rclpy.init()
    node, publishers = rclpy.create_node("sender"), {}
    plan = json.loads((folder / "plan.json").read_text())
    messages = []
    for item in plan:
        latched = DurabilityPolicy.TRANSIENT_LOCAL if item["period_s"] is None else DurabilityPolicy.VOLATILE
        kind = get_message(item["type"])
        if item["topic"] not in publishers:
            publishers[item["topic"]] = node.create_publisher(
                kind, item["topic"], QoSProfile(depth=10, durability=latched)
            )
        content, places, at = bytearray((folder / item["file"]).read_bytes()), [], -1
        while (at := content.find(stamp_bytes(PLACEHOLDER_NS), at + 1)) >= 0:
            places.append(at)
        messages.append((content, places, publishers[item["topic"]], item))
    time.sleep(2.0)  # everybody finds everybody
    begin_ns, begin = time.time_ns(), time.monotonic()
    due = []
    for k, (*_, item) in enumerate(messages):
        # Transforms do not end before the pictures that need them.
        count = 1 if item["period_s"] is None else int((seconds + 1.0 - item["offset_s"]) / item["period_s"])
        due += [(item["offset_s"] + n * (item["period_s"] or 0.0), k) for n in range(count)]
    sent: dict[int, tuple[float, int]] = {}
    for at_s, k in sorted(due):
        content, places, publisher, item = messages[k]
        if (wait := at_s - (time.monotonic() - begin)) > 0:
            time.sleep(wait)
        stamp = begin_ns + round(at_s * 1e9)
        for place in places:
            content[place : place + 8] = stamp_bytes(stamp)
        publisher.publish(bytes(content))
        if item["anchor_s"] is not None:
            reference = begin_ns + round((at_s - item["offset_s"] + item["anchor_s"]) * 1e9)
            before = sent.get(reference, (0.0, 0))
            sent[reference] = (time.monotonic(), before[1] + 1)
    time.sleep(1.0)
    (folder / "sent.json").write_text(json.dumps([[stamp, *found] for stamp, found in sent.items()]))
    rclpy.shutdown()


def listen(folder: Path, outputs: int) -> None:
    """Hear so many outputs until standard input ends, and write when each grid came."""
    import threading

    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rosidl_runtime_py.utilities import get_message

    rclpy.init()
    node = rclpy.create_node("listener")
    grids: list[list[float]] = []
    stages: list[list[Any]] = []
    values: dict[str, dict[str, str]] = {}

    def grid(raw: bytes) -> None:
        seconds, nanoseconds = (int.from_bytes(raw[at : at + 4], "little") for at in (4, 8))
        grids.append([seconds * 1_000_000_000 + nanoseconds, time.monotonic()])

    def diagnose(message: Any) -> None:
        for status in message.status:
            values[status.name] = {pair.key: pair.value for pair in status.values}

    def latency(message: Any) -> None:
        stages.append([time.monotonic(), dict(zip(message.stages, message.milliseconds))])

    types = json.loads((folder / "types.json").read_text())
    for name in HEARD[:outputs]:
        topic = f"/occupancy/{name}"
        node.create_subscription(get_message(types[topic]), topic, grid if name == "grid" else len, 10, raw=True)
    node.create_subscription(get_message(types["/occupancy/latency"]), "/occupancy/latency", latency, 10)
    node.create_subscription(DiagnosticArray, "/diagnostics", diagnose, 10)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while not ended.is_set():
        rclpy.spin_once(node, timeout_sec=0.1)
    (folder / "heard.json").write_text(json.dumps({"grids": grids, "stages": stages, "values": values}))
    rclpy.shutdown()


# ---- the run -----------------------------------------------------------------------------------------------------


def write_rig(path: Path, cameras: int) -> Path:
    """A rig of the first cameras of the nuScenes car, without a reference topic."""
    import yaml

    from gsocc_ros.pipeline.rig import Rig

    chosen = Rig.load("nuscenes").cameras[:cameras]
    keys = ("topic", "camera_info_topic", "trigger_offset_ms")
    cameras_of_file = {c.name: {key: getattr(c, key) for key in keys} for c in chosen}
    frames = {"base_frame": "base_link", "fixed_frame": "odom", "anchor": chosen[0].name}
    content = {**frames, "max_wait_ms": 60.0, "cameras": cameras_of_file}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def write_plan(folder: Path, rig_file: Path, rate_hz: float, size: tuple[int, int], joints: int, tf_hz: float) -> None:
    """Prepare what is sent: serialised messages with a placeholder for their stamps, and when they are due."""
    from node_overhead import messages_of_set, static_transforms
    from pipeline_rate import pictures

    from gsocc_ros.messages.message_host import rosbags_host
    from gsocc_ros.messages.outputs import OUTPUTS
    from gsocc_ros.messages.sensor_messages import transform, transforms
    from gsocc_ros.pipeline.rig import Rig

    rig, (host, types) = Rig.load(rig_file), rosbags_host()
    offsets = {c.topic: (c.trigger_offset_ms or 0.0) * 1e-3 for c in rig.cameras}
    infos = {c.camera_info_topic: offsets[c.topic] for c in rig.cameras}
    plan: list[dict[str, Any]] = []

    def add(topic: str, message: Any, offset_s: float, period_s: float | None, anchor_s: float | None = None) -> None:
        file = f"{len(plan)}.cdr"
        (folder / file).write_bytes(bytes(types.serialize_cdr(message, message.__msgtype__)))
        plan.append({"topic": topic, "type": message.__msgtype__, "file": file, "offset_s": offset_s,
                     "period_s": period_s, "anchor_s": anchor_s})  # fmt: skip

    add("/tf_static", static_transforms(host, rig), 0.0, None)
    moved = [transform(host, np.eye(4), "odom", "base_link", PLACEHOLDER_NS)]
    add("/tf", transforms(host, moved), 0.2, 1 / tf_hz)
    if joints:
        arm = [transform(host, np.eye(4), "base_link", f"joint_{k}", PLACEHOLDER_NS) for k in range(joints)]
        add("/tf", transforms(host, arm), 0.2, 1 / tf_hz)
    anchor_s = 0.5 + offsets[rig.camera(rig.anchor).topic]
    for topic, message in messages_of_set(host, rig, pictures(len(rig.cameras), size), 0, size):
        if topic == "/tf":
            continue
        message.header.stamp = host.stamp(PLACEHOLDER_NS)
        is_picture = topic in offsets
        offset_s = 0.5 + (offsets[topic] if is_picture else infos[topic])
        add(topic, message, offset_s, 1 / rate_hz, anchor_s if is_picture else None)
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "types.json").write_text(json.dumps({topic: output.message_type for topic, output in OUTPUTS.items()}))


def write_tiny_bundle(folder: Path) -> Path:
    """A model of random weights that costs next to nothing."""
    from gsocc_core import OCC3D_NUSCENES
    from gsocc_core.inference.bundle import save_bundle
    from gsocc_core.methods.build import build_method

    blocks = {"embedding_size": 8, "hidden_sizes": [8, 8, 12, 12], "depths": [1, 1, 1, 1], "layer_type": "basic"}
    model = {
        "grid": {"lower": [-40.0, -40.0, -1.0], "upper": [40.0, 40.0, 5.4], "voxel_size": 0.4},
        "image_size": [32, 64],
        "backbone": {"model_type": "resnet", "model_args": blocks, "out_indices": [1, 2]},
        "network": {"num_gaussians": 50, "dim": 16, "num_blocks": 1, "num_heads": 2, "num_points": 2,
                    "num_inducing": 4, "head_hidden": 16, "scale_range_m": [0.2, 1.0]},
        "loss": {"semantics": 1.0, "depth": 0.1, "alpha": 0.1},
        "splat": {"threshold": 0.1},
    }  # fmt: skip
    method = build_method("gaussianflowocc", model, OCC3D_NUSCENES.with_channels(range(1, 17)), pretrained=False)
    save_bundle(folder, "gaussianflowocc", model, method, "# tiny\n")
    return folder


def cpu_s(process: subprocess.Popen[Any]) -> float:
    """CPU seconds of a process so far, all threads."""
    parts = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(process: subprocess.Popen[Any]) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def measure(folder: Path, words: list[str], seconds: float, outputs: int) -> dict[str, Any]:
    """Run the three processes; CPU in cores and the node's memory, both after the warm-up."""
    log = folder / "node.log"
    with log.open("w") as stream:
        node = subprocess.Popen(words, stderr=stream, stdout=stream)  # noqa: S603
    while "active: waiting" not in log.read_text():
        if node.poll() is not None:
            raise RuntimeError(log.read_text())
        time.sleep(0.2)
    mine = [sys.executable, __file__]
    listener = subprocess.Popen([*mine, "listen", str(folder), str(outputs)], stdin=subprocess.PIPE)  # noqa: S603
    sender = subprocess.Popen([*mine, "send", str(folder), str(seconds + WARM_UP_S)])  # noqa: S603
    time.sleep(WARM_UP_S + 3.0)
    processes = {"sender": sender, "node": node, "listener": listener}
    before, begin, memory = {name: cpu_s(p) for name, p in processes.items()}, time.monotonic(), [resident_mb(node)]
    while time.monotonic() - begin < seconds - 2.0:
        time.sleep(min(10.0, seconds / 10))
        memory.append(resident_mb(node))
    end = time.monotonic()
    cores = {name: (cpu_s(p) - before[name]) / (end - begin) for name, p in processes.items()}
    sender.wait()
    listener.communicate()
    node.terminate()
    node.wait()
    sent = json.loads((folder / "sent.json").read_text())
    heard = json.loads((folder / "heard.json").read_text())
    return {"cores": cores, "memory_mb": memory, "begin": begin, "end": end, "sent": sent, **heard}


def report(run: dict[str, Any], cameras: int) -> None:
    """Print what was measured between the warm-up and the end."""
    inside = {stamp: at for stamp, at, count in run["sent"] if run["begin"] <= at <= run["end"] and count == cameras}
    came = dict(run["grids"])
    ages_ms = [1e3 * (came[stamp] - at) for stamp, at in inside.items() if stamp in came]
    seconds = run["end"] - run["begin"]
    rate = sum(run["begin"] <= at <= run["end"] for at in came.values()) / seconds
    stages = [found for at, found in run["stages"] if run["begin"] <= at <= run["end"]]
    own_ms = [sum(value for name, value in found.items() if name not in AROUND) for found in stages]
    own, own_p95 = (float(value) for value in np.percentile(own_ms, [50, 95]))
    p50, p95 = np.percentile(ages_ms, [50, 95])
    counted = next(values for name, values in run["values"].items() if name.endswith(": output"))
    rows = [
        ("sets sent per second", f"{len(inside) / seconds:.2f}"),
        ("grids received per second", f"{rate:.2f}"),
        ("sets without a grid", f"{len(inside) - len(ages_ms)} of {len(inside)}"),
        ("the predictor's own time, p50, p95", f"{own:.1f} ms, {own_p95:.1f} ms"),
        ("grids per second x the predictor's own time", f"{rate * own * 1e-3:.2f}"),
        ("last picture sent to grid received, p50", f"{p50:.1f} ms, the predictor's time + {p50 - own:.1f} ms"),
        ("last picture sent to grid received, p95", f"{p95:.1f} ms, the predictor's time + {p95 - own:.1f} ms"),
        ("cores: sender, node, listener", ", ".join(f"{value:.2f}" for value in run["cores"].values())),
        ("the node's memory, first and last", f"{run['memory_mb'][0]:.0f} MB, {run['memory_mb'][-1]:.0f} MB"),
        ("counters", ", ".join(f"{k} {v}" for k, v in counted.items() if v.isdigit())),
    ]
    print("| what | value |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")


def node_live(
    bundle: str = "",
    cameras: int = 6,
    width: int = 1600,
    height: int = 900,
    rate_hz: float = 10.0,
    seconds: float = 60.0,
    outputs: int = 1,
    joints: int = 0,
    tf_hz: float = 100.0,
) -> None:
    """Measure and print a table.

    Args:
        bundle: Folder or hub id; empty = the demo bundle; tiny = a model of random weights that costs next to nothing.
        cameras: How many, 1 to 6; they fire one after another within 43 ms as those of nuScenes.
        width: Of the pictures.
        height: Of the pictures.
        rate_hz: Sets per second that are sent.
        seconds: How long is measured.
        outputs: How many outputs somebody hears, 1 to 7.
        joints: Moving joints on /tf, beside the odometry.
        tf_hz: Rate of odometry and joints.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rig = write_rig(folder / "rig.yaml", cameras)
        write_plan(folder, rig, rate_hz, (width, height), joints, tf_hz)
        chosen = str(write_tiny_bundle(folder / "tiny")) if bundle == "tiny" else bundle
        words = [sys.executable, "-c", NODE, "--ros-args", "-p", f"rig:={rig}"]
        words += ["-p", f"bundle:={chosen}"] if chosen else []
        report(measure(folder, words, seconds, outputs), cameras)


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(Path(sys.argv[2]), float(sys.argv[3]))
    elif sys.argv[1:2] == ["listen"]:
        listen(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        from jsonargparse import auto_cli

        auto_cli(node_live, as_positional=False)
