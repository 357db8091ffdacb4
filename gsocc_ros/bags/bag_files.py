# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Opens recordings, and writes new ones that appear only when they are complete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer

from gsocc_core.errors import DataError, OutputExistsError
from gsocc_core.whole import whole_folder
from gsocc_ros.bags.recording import Recording
from gsocc_ros.choices import Distro, Storage

#: Newest rosbag2 format that the distribution reads.
_FORMATS = {"jazzy": 9, "humble": 8}
_PLUGINS = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


@contextmanager
def open_bag(path: str | Path) -> Iterator[Recording]:
    """Open a rosbag2 folder (or a ROS 1 bag) for reading.

    Args:
        path: The recording.

    Yields:
        The open recording.

    Raises:
        DataError: there is no recording, or it cannot be read.

    Example:
        >>> with open_bag("drive") as bag:  # doctest: +SKIP
        ...     print(bag.topics)
    """
    path = Path(path)
    if not path.exists():
        raise DataError(path, "bag", "a rosbag2 folder", "nothing")
    if path.is_dir() and not (path / "metadata.yaml").is_file():
        raise DataError(path, "metadata.yaml", "a rosbag2 folder with its metadata", "a folder without")
    recording = Recording(path)
    recording.open()
    try:
        yield recording
    finally:
        recording.close()


@contextmanager
def new_bag(path: str | Path, storage: Storage = "mcap", distro: Distro = "jazzy") -> Iterator[Writer]:
    """Write a rosbag2 folder under the name ``<path>.incomplete``, and rename it at the end.

    Args:
        path: Folder to create.
        storage: File format inside.
        distro: Oldest ROS 2 distribution that must read it.

    Yields:
        The open writer. An exception in the block removes everything that was written.

    Raises:
        OutputExistsError: the path is there already.
    """
    path = Path(path)
    if path.exists():
        raise OutputExistsError(path, "output", "a path that does not exist yet", "something is there")
    with whole_folder(path) as scratch:
        version = cast("Literal[8, 9]", _FORMATS[distro])
        # The files inside are named after the folder, so the folder has its final name from the start.
        with Writer(scratch / path.name, version=version, storage_plugin=_PLUGINS[storage]) as writer:
            yield writer
        for file in (scratch / path.name).iterdir():
            file.rename(scratch / file.name)
        (scratch / path.name).rmdir()


def qos_profile(depth: int, latched: bool = False) -> Qos:
    """The reliable keep-last QoS profile that a recording stores for a topic, so that players offer it again.

    Args:
        depth: Length of the queue.
        latched: Late subscribers get the last messages (transient local).

    Returns:
        The profile, without deadline, lifespan and lease.
    """
    forever = QosTime(9223372036, 854775807)  # rmw's infinite duration
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )


def read_messages(recording: Recording, topics: Iterable[str]) -> Iterator[tuple[str, int, Any]]:
    """Messages of some topics in the order of the recording.

    Args:
        recording: An open recording.
        topics: Their names; topics that are not there are passed over.

    Yields:
        Topic, log time in nanoseconds, message.

    Raises:
        DataError: a message cannot be read.
    """
    wanted = set(topics)
    connections = [connection for connection in recording.connections if connection.topic in wanted]
    if connections:
        for connection, log_ns, raw in recording.messages(connections):
            yield connection.topic, log_ns, recording.decode(connection, log_ns, raw)
