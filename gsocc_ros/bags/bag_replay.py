# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Occupancy from a recording: rosbag in, rosbag with occupancy out, scored where the recording holds ground truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, ConnectionExtRosbag2
from rosbags.rosbag2 import Writer
from tqdm import tqdm

from gsocc_core import ClassTable, OccupancyPredictor, Prediction, VoxelScores
from gsocc_core.data.phrases import split_phrases
from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.inference.found import THRESHOLD, check_threshold
from gsocc_ros.bags.bag_files import new_bag, open_bag, qos_profile
from gsocc_ros.bags.recording import Recording
from gsocc_ros.bags.replay_report import Latencies, ReplayReport, camera_counts
from gsocc_ros.bags.replay_score import ReplayScore, read_track, truth_stamps_ns
from gsocc_ros.bags.replay_topics import check_topics
from gsocc_ros.choices import Distro, Storage
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.messages.occupancy_messages import read_class_table, read_occupancy
from gsocc_ros.messages.outputs import (
    DEBUG_TOPICS,
    GROUND_TRUTH_TOPIC,
    MARKERS_TOPIC,
    OUTPUTS,
    TRUTH_CLASSES_TOPIC,
    OutputMessages,
)
from gsocc_ros.messages.query_messages import QUERY_OUTPUTS, QUERY_WORDS_TOPIC, query_words, standing_messages
from gsocc_ros.pipeline.camera_input import stamp_ns
from gsocc_ros.pipeline.faults import Faults
from gsocc_ros.pipeline.occupancy_pipeline import Occupancy, OccupancyPipeline, Predictor
from gsocc_ros.pipeline.rig import Rig

#: A recording has no deadline, so sets wait longer for their transforms than on a robot.
TRANSFORM_WAIT_MS = 2000.0
#: What may be written: it takes the place of what the recording holds.
_WRITTEN = {**OUTPUTS, **QUERY_OUTPUTS}
#: When the first so many sets are all lost, the rest of the recording is not tried.
HOPELESS = 100


def replay_occupancy(
    bag: str,
    out: str,
    bundle: str,
    rig: str = "nuscenes",
    storage: Storage = "mcap",
    distro: Distro = "jazzy",
    device: str = "auto",
    limit: int | None = None,
    only_keyframes: bool = False,
    pass_through: bool = True,
    markers: bool = False,
    report: str | None = None,
    queries: str = "",
    query_threshold: float = THRESHOLD,
    text_encoder: str | None = None,
) -> ReplayReport:
    """Predict occupancy for every set of pictures in a recording and write it into a new recording.

    The output holds the topics that the node publishes. Where the recording has ``/occupancy/ground_truth`` at a set's
    reference stamp, the prediction is scored. As in the node, a fault costs its set or message only: it is told once,
    counted in the report, and the replay goes on. Nothing is left behind when no set can be predicted or anything else
    fails.

    Args:
        bag: Recording to read: a rosbag2 folder.
        out: Folder to create.
        bundle: Trained model: a bundle folder or a Hugging Face hub id.
        rig: Rig file, or the name of a shipped rig.
        storage: File format of the output.
        distro: ROS 2 distribution that must be able to read the output.
        device: auto, cpu, cuda or cuda:N.
        limit: Stop after this many predictions.
        only_keyframes: Predict only where there is ground truth.
        pass_through: Copy the recording's own messages into the output.
        markers: Write ``/occupancy/markers``, too. They show the same as ``/occupancy/voxels`` in viewers without point
            clouds, and take longer to build than everything else together.
        report: JSON file to write the report to.
        queries: Words that every prediction is asked, with commas between them: ``dog, garden chair``. Then
            ``/occupancy/queries``, ``/occupancy/query_words`` and ``/occupancy/query_markers`` are written, too. They
            need a bundle with text features.
        query_threshold: Score from which on a voxel is in ``/occupancy/queries``.
        text_encoder: What embeds the words: wordllama, clip:MODEL or talk2dino:MODEL:PROJECTION.safetensors; None = the
            encoder that the bundle names, whose files may lie elsewhere on this machine.

    Returns:
        Accuracy, speed and losses.

    Raises:
        OutputExistsError: the output or the report is there already.
        DataError: the recording cannot be read, lacks a topic that the rig names, or gives no set.
        ConfigError: the rig is wrong, or the queries are, or the model cannot be asked.
        BundleError: the model is wrong.

    Example:
        >>> replay_occupancy("drive", "drive_occupancy", bundle="bundles/demo").miou  # doctest: +SKIP
    """
    for path in [out, *([report] if report else [])]:
        if Path(path).exists():
            raise OutputExistsError(path, "output", "a path that does not exist yet", "something is there")
    robot = Rig.load(rig)
    with open_bag(bag) as recording:  # a wrong recording should be told before a large model is loaded
        check_topics(recording, bag, robot, only_keyframes)
    predictor = OccupancyPredictor.load(bundle, device, text_encoder)
    check_threshold("replay_occupancy", query_threshold)
    words = split_phrases(queries)
    asked = Standing(predictor.query, predictor.prepare_query(words), query_threshold) if words else None
    options = ReplayOptions(storage, distro, limit, only_keyframes, pass_through, markers, predictor.bundle.id, asked)
    result = replay(bag, out, robot, predictor, options)
    if report:
        result.to_json(report)
    return result


@dataclass(frozen=True)
class Standing:
    """What every prediction is asked.

    Attributes:
        query: Answers words about a prediction.
        words: The words.
        threshold: Least score of what is written.
    """

    query: Callable[[Sequence[str], Prediction], VoxelScores]
    words: tuple[str, ...]
    threshold: float = THRESHOLD


@dataclass(frozen=True)
class ReplayOptions:
    """How to replay; see :func:`replay_occupancy` for the meaning. ``model_id`` goes into the messages."""

    storage: Storage = "mcap"
    distro: Distro = "jazzy"
    limit: int | None = None
    only_keyframes: bool = False
    pass_through: bool = True
    markers: bool = False
    model_id: str = ""
    standing: Standing | None = None


def replay(
    bag: str | Path, out: str | Path, rig: Rig, predictor: Predictor, options: ReplayOptions | None = None
) -> ReplayReport:
    """:func:`replay_occupancy` with a rig and a predictor that are there already.

    Args:
        bag: Recording to read.
        out: Folder to create.
        rig: The robot's cameras.
        predictor: The model.
        options: How; None = the defaults.

    Returns:
        Accuracy, speed and losses.

    Raises:
        Exception: no set could be predicted, or none of the first :data:`HOPELESS`; the first fault, whatever it was.
    """
    options = options or ReplayOptions()
    if options.limit is not None and options.limit < 1:
        raise ConfigError("replay_occupancy", "limit", "a positive number or null", options.limit)
    patient = replace(rig, transform_wait_ms=max(rig.transform_wait_ms, TRANSFORM_WAIT_MS))
    with open_bag(bag) as recording:
        check_topics(recording, bag, rig, options.only_keyframes, predictor.depth_input)
        stamps = truth_stamps_ns(recording, GROUND_TRUTH_TOPIC)
        score = ReplayScore(stamps, read_track(recording, rig, stamps), GROUND_TRUTH_TOPIC)
        wants = frozenset(stamps).__contains__ if options.only_keyframes else None
        with (
            closing(OccupancyPipeline(patient, predictor, wants=wants)) as pipeline,
            new_bag(out, options.storage, options.distro) as writer,
        ):
            run = _Replay(recording, pipeline, writer, score, options)
            run.play()
            run.give_up_after(lost=1)
            if run.sets == 0:
                expected = f"at least one set (see trigger_offset_ms and tolerance_ms in {rig.path})"
                raise DataError(bag, "pictures", expected, _losses(pipeline))
        return run.report(bag)


def _losses(pipeline: OccupancyPipeline) -> str:
    counts = pipeline.counters().cameras
    return "none; " + ", ".join(f"{name}: {c.received} received, {c.missing} missing" for name, c in counts.items())


class _Replay:
    """One pass through a recording."""

    def __init__(
        self,
        recording: Recording,
        pipeline: OccupancyPipeline,
        writer: Writer,
        score: ReplayScore,
        options: ReplayOptions,
    ) -> None:
        self._recording, self._pipeline, self._writer = recording, pipeline, writer
        self._score, self._options = score, options
        self._host, self._types = rosbags_host(options.distro)
        left_out = DEBUG_TOPICS if options.markers else DEBUG_TOPICS | {MARKERS_TOPIC}
        topics = [topic for topic in OUTPUTS if topic not in left_out]
        self._outputs = OutputMessages(self._host, pipeline.rig.base_frame, options.model_id, topics)
        self._tables: dict[str, ClassTable] = {}
        self._connections: dict[tuple[str, str], Connection] = {}
        self._latencies = Latencies()
        self.faults = Faults("a set or message is left out")
        self.sets = self.truths = 0
        self._answered = False

    @property
    def _done(self) -> bool:
        return self._options.limit is not None and self.sets >= self._options.limit

    def play(self) -> None:
        recording, log_ns = self._recording, 0
        wanted = {item.topic for item in self._pipeline.subscriptions}
        with tqdm(total=recording.message_count, unit="msg", desc="replay") as progress:
            for connection, log_ns, raw in recording.messages():
                topic = connection.topic
                if self._options.pass_through and topic not in _WRITTEN:
                    self._copy(connection, log_ns, raw)
                if topic in wanted:
                    message = recording.decode(connection, log_ns, raw)
                    with self._counting():
                        self._pipeline.feed(topic, message)
                    self._predict_ready(log_ns)
                elif topic == GROUND_TRUTH_TOPIC:
                    self._add_truth(recording.decode(connection, log_ns, raw))
                elif topic == TRUTH_CLASSES_TOPIC:
                    message = recording.decode(connection, log_ns, raw)
                    self._tables[message.id] = read_class_table(message)
                progress.update()
                if self._done and not self._score.waiting:
                    return
            self._pipeline.finish()
            self._predict_ready(log_ns)

    def _predict_ready(self, log_ns: int) -> None:
        while not self._done:
            occupancy = None
            with self._counting():
                if (ready := self._pipeline.take()) is None:
                    return
                occupancy = self._pipeline.predict(ready)
            if occupancy is not None:
                self._keep(occupancy, log_ns)
            self.give_up_after(HOPELESS)

    def give_up_after(self, lost: int) -> None:
        """Raise the first fault when so many sets were lost and none predicted."""
        if self.sets == 0 and self.faults.first is not None and self._pipeline.counters().lost >= lost:
            raise self.faults.first

    @contextmanager
    def _counting(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever a set does, the next one must be tried
            self.faults.add(error)

    def _keep(self, occupancy: Occupancy, log_ns: int) -> None:
        prediction, start = occupancy.prediction, time.perf_counter()
        for topic, message in self._outputs.build(prediction):
            self._write(topic, log_ns, message)
        latency_ms = {**occupancy.latency_ms, "messages": (time.perf_counter() - start) * 1e3}
        if self._options.standing is not None:
            with self._counting():
                latency_ms["queries"] = self._answer(self._options.standing, prediction, log_ns)
        for topic, message in self._outputs.latency(prediction, latency_ms):
            self._write(topic, log_ns, message)
        self._latencies.add(latency_ms)
        self._score.add_prediction(occupancy.ready.synced.reference_stamp_ns, prediction.grid)
        self.sets += 1

    def _answer(self, standing: Standing, prediction: Prediction, log_ns: int) -> float:
        """Write what a prediction says to the standing queries; milliseconds."""
        start, stamp, frame = time.perf_counter(), prediction.reference_stamp_ns, self._pipeline.rig.base_frame
        if not self._answered:
            words = query_words(self._host, standing.words, standing.threshold, stamp, frame)
            self._write(QUERY_WORDS_TOPIC, log_ns, words)
            self._answered = True
        scores = standing.query(standing.words, prediction)
        for topic, message in standing_messages(
            self._host, scores, standing.threshold, stamp, frame, tuple(QUERY_OUTPUTS)
        ):
            self._write(topic, log_ns, message)
        return (time.perf_counter() - start) * 1e3

    def _add_truth(self, message: Any) -> None:
        stamp = stamp_ns(message.header)
        classes = self._tables.get(message.class_table_id)
        if classes is None:
            expected = f"the id of a class table on {TRUTH_CLASSES_TOPIC}: {sorted(self._tables)}"
            where = f"{GROUND_TRUTH_TOPIC} at {stamp} ns"
            raise DataError(where, "class_table_id", expected, f"{message.class_table_id!r}")
        self.truths += 1
        self._score.add_truth(stamp, read_occupancy(message, classes, GROUND_TRUTH_TOPIC))

    def _copy(self, connection: Connection, log_ns: int, raw: bytes) -> None:
        key = (connection.topic, connection.msgtype)
        if key not in self._connections:
            extra = connection.ext
            profiles = extra.offered_qos_profiles if isinstance(extra, ConnectionExtRosbag2) else []
            text, digest = self._recording.copied(connection)
            self._connections[key] = self._writer.add_connection(
                connection.topic, connection.msgtype, msgdef=text, rihs01=digest, offered_qos_profiles=profiles
            )
        self._writer.write(self._connections[key], log_ns, raw)

    def _write(self, topic: str, log_ns: int, message: Any) -> None:
        output = _WRITTEN[topic]
        key = (topic, output.message_type)
        if key not in self._connections:
            self._connections[key] = self._writer.add_connection(
                topic,
                output.message_type,
                typestore=self._types,
                offered_qos_profiles=[qos_profile(1, latched=output.latched)],
            )
        raw = message if isinstance(message, bytes) else self._types.serialize_cdr(message, output.message_type)
        self._writer.write(self._connections[key], log_ns, raw)

    def report(self, bag: str | Path) -> ReplayReport:
        scores, counters = self._score.scores(), self._pipeline.counters()
        return ReplayReport(
            bag=str(bag),
            sets=self.sets,
            scored=self._score.scored,
            truths=self.truths,
            miou=scores.miou,
            iou=scores.iou,
            rayiou=scores.rayiou,
            class_iou=scores.class_iou,
            fps=self._latencies.fps,
            latency_ms=self._latencies.percentile_ms(50),
            latency_p95_ms=self._latencies.percentile_ms(95),
            without_ego_motion=counters.without_ego_motion,
            without_depth=counters.without_depth,
            cameras=camera_counts(counters),
            faults={**self.faults.counts, **counters.broken_transforms},
        )
