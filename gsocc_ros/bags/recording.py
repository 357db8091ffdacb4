# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""An open recording, whose message types are looked up only when a message of theirs is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat, TopicInfo
from rosbags.rosbag1 import Reader as Rosbag1Reader
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from gsocc_core.errors import DataError
from gsocc_ros.bags.storages import Rosbag2Reader
from gsocc_ros.messages.message_host import register_own_messages, ros_types

_SEPARATOR = "=" * 80 + "\n"
_IDL_HEADER = "IDL: "


class Recording:
    """A rosbag2 folder or file, or a ROS 1 bag.

    Each type is made from the definition that stands beside it in the recording; without one, it is a type of ROS 2
    Humble, whose recordings hold none, or one of our own. Definitions of topics that nobody reads are never looked at.

    Args:
        path: The recording.

    Raises:
        DataError: it is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_ros1 = path.suffix == ".bag"
        try:
            self._reader: Any = Rosbag1Reader(path) if self._is_ros1 else Rosbag2Reader(path)
        except Exception as error:  # whatever makes the reader think that it is another format
            received = f"{type(error).__name__}: {error}"
            raise DataError(path, "bag", "a readable recording", received) from error
        self._types: dict[tuple[str, MessageDefinition], Typestore] = {}

    def open(self) -> None:
        """Open the files.

        Raises:
            DataError: they are damaged, or no recording.
        """
        try:
            self._reader.open()
        except Exception as error:  # whatever a damaged file makes the reader raise
            received = f"{type(error).__name__}: {error}"
            raise DataError(self._path, "bag", "a readable recording", received) from error

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    @property
    def connections(self) -> list[Connection]:
        """Topics with their types; a topic with several types is there once for each."""
        return list(self._reader.connections)

    @property
    def topics(self) -> dict[str, TopicInfo]:
        """Topics by name; the type of one with several is None."""
        return dict(self._reader.topics)

    @property
    def start_time(self) -> int:
        """Log time of the first message, nanoseconds."""
        return int(self._reader.start_time)

    @property
    def message_count(self) -> int:
        """Number of messages of all topics."""
        return int(self._reader.message_count)

    def messages(
        self, connections: Collection[Connection] = (), start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Messages as they were recorded, in the order of log time.

        Args:
            connections: Which topics; none = all.
            start: Earliest log time, nanoseconds; None = all.
            stop: Log time from which on none is wanted, nanoseconds; None = all.

        Yields:
            Topic, log time in nanoseconds, bytes.

        Raises:
            DataError: the recording is damaged.
        """
        found = self._reader.messages(connections=list(connections), start=start, stop=stop)
        while True:
            try:
                item = next(found, None)
            except Exception as error:  # whatever a damaged file makes the reader raise
                received = f"{type(error).__name__}: {error}"
                raise DataError(self._path, "messages", "a recording that can be read to its end", received) from error
            if item is None:
                return
            yield item

    def decode(self, connection: Connection, log_ns: int, raw: bytes) -> Any:
        """One message from its bytes.

        Args:
            connection: Its topic.
            log_ns: Its log time, nanoseconds, for errors.
            raw: Its bytes.

        Raises:
            DataError: the type's definition cannot be read, or the bytes are not a message of that type.
        """
        types = self.types_of(connection)
        read = types.deserialize_ros1 if self._is_ros1 else types.deserialize_cdr
        try:
            return read(raw, connection.msgtype)
        except Exception as error:  # whatever a damaged message makes the parser raise
            where = f"{connection.topic} at log time {log_ns} ns"
            received = f"{len(raw)} bytes that do not parse: {error}"
            raise DataError(where, "message", connection.msgtype, received) from error

    def types_of(self, connection: Connection) -> Typestore:
        """The type of a topic, and those inside it.

        Raises:
            DataError: its definition is missing, cannot be read, or is not the one that was recorded, or its messages
                are not in CDR.
        """
        about, key = connection.ext, (connection.msgtype, connection.msgdef)
        if isinstance(about, ConnectionExtRosbag2) and about.serialization_format != "cdr":
            raise DataError(connection.topic, "serialization_format", "cdr", about.serialization_format)
        if key not in self._types:
            self._types[key] = self._make_types(connection)
        return self._types[key]

    def _make_types(self, connection: Connection) -> Typestore:
        kind, text = connection.msgtype, connection.msgdef.data
        if not text.strip():
            known = _types_without_definition()
            if kind not in known.types:
                expected = f"a definition of {kind} in the recording, for it is no type of ROS 2 Humble"
                raise DataError(connection.topic, "definition", expected, "none")
            return known
        types = get_typestore(Stores.EMPTY)
        try:
            types.register(_parse(kind, connection.msgdef))
            types.get_msgdef(kind)
            digest = "" if self._is_ros1 or not connection.digest else types.hash_rihs01(kind)
        except Exception as error:  # whatever a text that is no definition makes the parser raise
            received = f"{text[:60]!r}... ({type(error).__name__})"
            raise DataError(connection.topic, "definition", f"a readable definition of {kind}", received) from error
        if digest and digest != connection.digest:
            raise DataError(connection.topic, "definition", f"{kind} with the hash {connection.digest}", digest)
        return types

    def copied(self, connection: Connection) -> tuple[str, str]:
        """Definition and hash of a topic's type, to write it and the bytes of its messages into another recording.

        A definition that cannot be read goes on as it is.

        Returns:
            The text, and the hash (RIHS01) of the type.

        Raises:
            DataError: the bytes are not those of ROS 2.
        """
        if self._is_ros1:
            expected = "a rosbag2 recording, whose messages can be copied (rosbags-convert makes one of a ROS 1 bag)"
            raise DataError(self._path, "bag", expected, "a ROS 1 bag")
        kind, definition, digest = connection.msgtype, connection.msgdef, connection.digest
        if digest and definition.data.strip() and definition.format is MessageDefinitionFormat.MSG:
            return definition.data, digest
        try:
            types = self.types_of(connection)
            text, _ = types.generate_msgdef(kind, ros_version=2)
            return text, types.hash_rihs01(kind)
        except (DataError, KeyError):
            return definition.data, digest or _hash_without_fields(kind)


def _parse(kind: str, definition: MessageDefinition) -> Any:
    """Types of a definition's text."""
    if definition.format is MessageDefinitionFormat.MSG:
        return get_types_from_msg(definition.data, kind)
    found: dict[str, Any] = {}
    for part in definition.data.split(_SEPARATOR):
        header, _, rest = part.partition("\n")
        if part.strip():
            found |= get_types_from_idl(rest if header.startswith(_IDL_HEADER) else part)
    return found


@lru_cache(maxsize=1)
def _types_without_definition() -> Typestore:
    types = ros_types("humble")
    register_own_messages(types)
    return types


def _hash_without_fields(kind: str) -> str:
    """The hash of a type of whose fields nothing is known; recordings have to name one."""
    types = get_typestore(Stores.EMPTY)
    types.register({kind: ([], [])})
    return types.hash_rihs01(kind)
