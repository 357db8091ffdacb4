# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The node's process: signals, the launch file, and long runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]
rclpy = pytest.importorskip("rclpy")
from .watching import node_process, play, player, resident_mb  # noqa: E402 - after the skip


@pytest.mark.parametrize(("number", "times"), [(signal.SIGHUP, 1), (signal.SIGTERM, 2), (signal.SIGINT, 1000)])
def test_a_clean_end_on_interrupts(tiny_bundle, number, times):
    words = node_process(f"bundle:={tiny_bundle}")
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    for line in process.stderr:
        if "active: waiting" in line:
            break
    for _ in range(times):  # the many go on until the interpreter itself has ended
        if process.poll() is not None:
            break
        process.send_signal(number)
        time.sleep(0.02)
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()  # one that goes on would answer for the nodes of the tests behind this one
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_an_interrupt_while_libraries_load_ends_cleanly():
    code = "print('go', flush=True); import sys; from gsocc_ros.node.process import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "go\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_launch_plays_a_drive_and_scores_it(tiny_tree, tiny_bundle, tmp_path):
    """The whole way: data set, converter, ros2 launch, ros2 bag play, evaluation."""
    from gsocc_ros.commands import nuscenes_to_rosbag2_program as convert

    bag = tmp_path / "bag"
    assert convert([str(tiny_tree), str(bag), "--scene", "scene-a", "--version", "v1.0-tiny"]) == 0
    words = ["ros2", "launch", "gsocc_ros", "occupancy.launch.py", f"bag:={bag}", f"bundle:={tiny_bundle}",
             "evaluate:=true", "rate:=0.2"]  # fmt: skip
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=180, check=False, env={**os.environ, "PATH": path}
    )
    output = done.stdout + done.stderr
    assert "evaluation: " in output, output
    assert "sets scored" in output
    assert "process has died" not in output, output


SOAK_S = float(os.environ.get("GSOCC_SOAK_S", "600"))


@pytest.mark.slow
@pytest.mark.timeout(SOAK_S + 240)
@pytest.mark.parametrize("faults", [0.0, 0.02])
def test_a_long_run_keeps_its_memory(watch, bag, faults):
    """A recording again and again, GSOCC_SOAK_S seconds long (ten minutes): pytest -m 'ros and slow' -s.

    With faults, something is wrong with every 50th message: it is lost or broken, has another frame or another time.
    """
    watcher = watch()
    process = player(bag, "--loops", 100_000, "--faults", faults)
    sizes, sets, end = [], 0, time.monotonic() + SOAK_S
    try:
        while time.monotonic() < end:
            time.sleep(SOAK_S / 20)
            sizes.append(resident_mb())
            assert watcher.grids, "nothing was published"
            sets += len(watcher.grids)
            for heard in (watcher.grids, watcher.clouds, watcher.stages, watcher.statuses):
                heard.clear()
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
        print(f"{sets} sets in {SOAK_S:.0f} s, resident memory, MB: {[round(size) for size in sizes]}")
        print(watcher.node.pipeline.counters())
    assert sizes[-1] - sizes[4] < 0.1 * sizes[4], sizes
    before = len(watcher.grids)
    play(bag)
    watcher.wait(lambda: len(watcher.grids) > before)
    counted = watcher.node.pipeline.counters()
    assert counted.sets == counted.published + counted.superseded + counted.lost + counted.waiting
    for one in counted.cameras.values():
        assert one.received == sum(getattr(one, key) for key in ("used", "late", "stale", "duplicate", "held"))
    assert (counted.lost > 0) == (faults > 0)
