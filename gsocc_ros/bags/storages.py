# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Storage files of rosbag2 for rosbags' reader, which refuses a whole recording for one schema that it does not know.

``ros2 bag record`` writes the encoding ``unknown`` for services of plain numbers and for types without a definition.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.rosbag2.metadata import ReaderMetadata, parse_qos
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.rosbag2.storage_mcap import McapReader

#: Encodings of message definitions that can be read; what has another one counts as a text that does not parse.
_ENCODINGS = {"ros2msg": "ros2msg", "ros2idl": "ros2idl", "omgidl": "ros2idl"}
_NEVER = 2**63 - 1
_MESSAGES = """
    SELECT topic_id, timestamp, data FROM messages
    WHERE topic_id IN (SELECT value FROM json_each(?)) AND timestamp BETWEEN ? AND ? ORDER BY timestamp
"""


class _Schemas(dict[int, Any]):
    """Schemas of an MCAP file by number, with an encoding that rosbags knows."""

    def __setitem__(self, key: int, schema: Any) -> None:
        super().__setitem__(key, schema._replace(encoding=_ENCODINGS.get(schema.encoding, "ros2msg")))


class McapStorage(McapReader):
    """An MCAP file whose schemas may be anything.

    Args:
        path: The file.
    """

    def __init__(self, path: Any) -> None:
        super().__init__(path)
        self.schemas = _Schemas()


class SqliteStorage:
    """An SQLite file of any version of rosbag2 whose schemas may be anything.

    Args:
        path: The file.

    Attributes:
        connections: Its topics.
        metadata: Its times and number of messages.
    """

    def __init__(self, path: Any) -> None:
        self._path = Path(path)
        self._file: sqlite3.Connection | None = None
        self.connections: list[Connection] = []
        self.metadata = ReaderMetadata(0, _NEVER, 0, 0, None, None, None, None)

    def open(self) -> None:
        """Open the file and read what it holds.

        Raises:
            ReaderError: it is no recording.
        """
        try:
            address = f"file:{quote(str(self._path))}?mode=ro&immutable=1"
            self._file = sqlite3.connect(address, uri=True, check_same_thread=False)
            self._read_topics(self._file)
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.Error):
                raise ReaderError(f"{self._path.name}: {error}") from error
            raise

    def _read_topics(self, file: sqlite3.Connection) -> None:
        file.row_factory = sqlite3.Row
        definitions: dict[str, MessageDefinition] = {}
        tables = {row["name"] for row in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "message_definitions" in tables:
            for row in file.execute("SELECT * FROM message_definitions ORDER BY id DESC"):
                idl = _ENCODINGS.get(row["encoding"]) == "ros2idl"
                style = MessageDefinitionFormat.IDL if idl else MessageDefinitionFormat.MSG
                definitions[row["topic_type"]] = MessageDefinition(style, row["encoded_message_definition"])
        counts = dict(iter(file.execute("SELECT topic_id, COUNT(*) FROM messages GROUP BY topic_id")))
        none = MessageDefinition(MessageDefinitionFormat.NONE, "")
        for row in map(dict, file.execute("SELECT * FROM topics ORDER BY id")):
            # Older versions have neither quality of service nor hashes.
            qos, digest = parse_qos(row.get("offered_qos_profiles", "")), row.get("type_description_hash", "")
            about = ConnectionExtRosbag2(row["serialization_format"], qos)
            definition, count = definitions.get(row["type"], none), counts.get(row["id"], 0)
            self.connections.append(
                Connection(row["id"], row["name"], row["type"], definition, digest, count, about, self)
            )
        ((first, last),) = file.execute("SELECT MIN(timestamp), MAX(timestamp) FROM messages")
        if first is not None:
            span, total = last + 1 - first, sum(counts.values())
            self.metadata = ReaderMetadata(span, first, last + 1, total, None, None, None, None)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self.connections.clear()

    def messages(
        self, connections: Collection[Connection], start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Messages of some topics in the order of time.

        Args:
            connections: The topics, as in ``connections``.
            start: Earliest log time, nanoseconds; None = all.
            stop: Log time from which on none is wanted, nanoseconds; None = all.

        Yields:
            Topic, log time in nanoseconds, bytes.

        Raises:
            ReaderError: the file is damaged.
        """
        assert self._file is not None
        wanted = {connection.id: connection for connection in connections}
        first, last = -_NEVER if start is None else start, _NEVER if stop is None else stop - 1
        try:
            for number, stamp, data in self._file.execute(_MESSAGES, (json.dumps(list(wanted)), first, last)):
                yield wanted[number], stamp, data
        except sqlite3.Error as error:
            raise ReaderError(f"{self._path.name}: {error}") from error


class _Folder(DirectoryReader):
    STORAGE_PLUGINS: Mapping[str, Any] = {"mcap": McapStorage, "sqlite3": SqliteStorage}


class Rosbag2Reader(Reader):
    """rosbags' reader of folders and single storage files, with these storages."""

    STORAGE_PLUGINS: Mapping[str, Any] = {"dir": _Folder, ".mcap": McapStorage, ".db3": SqliteStorage}
