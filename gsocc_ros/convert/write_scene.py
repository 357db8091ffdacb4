# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""One nuScenes scene from open tables into a recording."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rosbags.interfaces import Connection
from rosbags.typesys.store import Typestore
from tqdm import tqdm

from gsocc_ros.bags.bag_files import new_bag
from gsocc_ros.choices import Distro, Storage
from gsocc_ros.convert.contents import Contents
from gsocc_ros.convert.scene_events import SceneEvents
from gsocc_ros.messages.message_host import MessageHost, rosbags_host
from gsocc_ros.messages.vision_messages import register_vision_messages


@dataclass(frozen=True)
class Written:
    """What became of a scene.

    Attributes:
        messages: How many messages its recording holds.
        notes: What the tree lacks, in words for the user.
    """

    messages: int
    notes: tuple[str, ...] = ()


def write_scene(
    nusc: Any,
    out: str,
    scene: str,
    storage: Storage = "mcap",
    distro: Distro = "jazzy",
    contents: Contents = Contents(),  # noqa: B008 - frozen
    quiet: bool = False,
) -> Written:
    """Write one scene; see :func:`gsocc_ros.convert.nuscenes_to_rosbag2.nuscenes_to_rosbag2`.

    Args:
        nusc: The devkit's NuScenes.
        out: Recording folder to make.
        scene: Scene name.
        storage: mcap or sqlite3.
        distro: Oldest ROS 2 distribution that must read it.
        contents: What to write of the scene.
        quiet: Show no progress and no notes.

    Returns:
        What was written.
    """
    drive = next(s for s in nusc.scene if s["name"] == scene)
    host, types = _host(distro)
    source = SceneEvents(nusc, drive, host, contents)
    with _without_collector(), new_bag(out, storage, distro) as writer:
        events = sorted(source.events(), key=lambda event: (event.stamp_ns, event.order))
        connections: dict[str, Connection] = {}
        for event in tqdm(events, desc=scene, unit="msg", disable=quiet):
            if event.topic not in connections:
                connections[event.topic] = writer.add_connection(
                    event.topic, event.message_type, typestore=types, offered_qos_profiles=[event.qos]
                )
            raw = types.serialize_cdr(event.build(), event.message_type)
            writer.write(connections[event.topic], event.stamp_ns, raw)
        for key, value in source.custom_data().items():
            writer.set_custom_data(key, value)
    if not quiet:
        for note in source.can_bus.notes:
            tqdm.write(f"{scene}: {note}", file=sys.stderr)
    return Written(len(events), source.can_bus.notes)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Python's cycle collector would walk through the tables' millions of records again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@lru_cache(maxsize=2)  # the types' code is generated once, not for each scene
def _host(distro: Distro) -> tuple[MessageHost, Typestore]:
    host, types = rosbags_host(distro)
    register_vision_messages(types)
    return host, types
