# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Answers to words as files: ``gsocc_core query``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.ego_poses import camera_at
from gsocc_core.data.images import decode_image
from gsocc_core.data.ply_vertices import write_ply
from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.export.rig_predictions import checked_sets, depth_files, predict_set, seen_depths
from gsocc_core.export.scene_words import FILE as WORDS_FILE
from gsocc_core.export.scene_words import load_scene_words
from gsocc_core.export.stored_snapshots import read_about, read_gaussians, read_grid, read_view
from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.voxels import SemanticGrid, VoxelScores
from gsocc_core.inference.found import (
    THRESHOLD,
    FoundVoxels,
    WordSummary,
    check_threshold,
    find_voxels,
    summarize,
)
from gsocc_core.inference.predictor import OccupancyPredictor
from gsocc_core.pictures import draw_query
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_core.whole import check_place, whole_folder

#: Width of a camera in the picture, pixels.
_TILE = 400
README = """\
gsocc query, layout 1. Read with numpy.load(file, allow_pickle=False). Units are metres; the ego frame is x forward,
y left, z up on the ground (REP-103 base_link) at reference_stamp_ns. T_a_b maps points of frame b into frame a.

words (Q). scores (Q, X, Y, Z) float32, 0..1: how well each word fits to what a voxel holds; 0 where it is free.
negatives: words that competed with them; none = the class prompts of the bundle. threshold: what counted as found.
labels (X, Y, Z) uint8: class_names[label]; free_id = free space.
Index order is (x, y, z), C-contiguous; voxel (0, 0, 0) touches lower_m. lower_m (3), upper_m (3), voxel_size_m (3) in
the grid frame; T_ego_grid (4, 4). encoder: what embedded the words. bundle: id of the model.
"""


@dataclass(frozen=True)
class Question:
    """What is asked, and where the answer goes.

    Attributes:
        words: 1 ... 64 phrases.
        out: Folder to make; it appears only when complete.
        negatives: Phrases that compete with them; () = the bundle's class prompts.
        threshold: Score from which on voxels count, above 0.
        frame: Which key frame or set; negative numbers count from the end.
        text_encoder: What embeds the words, see :meth:`gsocc_core.OccupancyPredictor.load`; None = the encoder that
            the bundle names.

    Raises:
        ConfigError: the threshold makes no sense.
    """

    words: tuple[str, ...]
    out: Path
    negatives: tuple[str, ...] = ()
    threshold: float = THRESHOLD
    frame: int = 0
    text_encoder: str | None = None

    def __post_init__(self) -> None:
        check_threshold("query", self.threshold)

    def number(self, count: int) -> int:
        """Number of the frame among so many.

        Raises:
            ConfigError: there are not so many.
        """
        if not -count <= self.frame < count:
            raise ConfigError("query", "frame", f"{-count} ... {count - 1}", self.frame)
        return self.frame % count


def query_drive(
    bundle: str | Path, data: DataArgs, question: Question, device: str = "auto"
) -> tuple[WordSummary, ...]:
    """Ask one key frame of a data set.

    Args:
        bundle: Bundle folder or hub id.
        data: Pictures to read; needs no labels.
        question: What to ask.
        device: cpu, cuda or auto.

    Returns:
        What was found of each word; see :func:`write_answer` for the files.

    Raises:
        OutputExistsError: the output exists.
        ConfigError: there is no such key frame; the bundle has no text features; or the words are none, too many, or
            some that the encoder does not know.
        BundleError: the bundle is damaged.
        DataError: the data set is incomplete.
    """
    predictor = _ready(bundle, question, device)
    dataset = build_dataset(data, predictor.image_size)
    number = question.number(len(dataset))
    record = dataset.key_frame(number)
    predictor.predict_frames(dataset[number])
    cameras = [camera_at(record, shot.camera, shot.T_world_ego) for shot in record.shots]
    images = {shot.camera.name: _thumbnail(shot.path) for shot in record.shots}
    return _answer(predictor, question, images, cameras)


def query_pictures(
    bundle: str | Path,
    images: str | Path,
    rig: CameraRig,
    question: Question,
    depth_dir: str | Path | None = None,
    device: str = "auto",
) -> tuple[WordSummary, ...]:
    """Ask one set of pictures of own cameras.

    Args:
        bundle: Bundle folder or hub id.
        images: Folder, see :func:`gsocc_core.rigs.picture_sets.find_picture_sets`.
        rig: The cameras.
        question: What to ask.
        depth_dir: Folder with the pictures' depth; None = none.
        device: cpu, cuda or auto.

    Returns:
        What was found of each word; see :func:`write_answer` for the files.

    Raises:
        GsoccError: as :func:`query_drive`, and as :func:`gsocc_core.export.rig_predictions.predict_pictures`.
    """
    _check_free(question.out)
    sets = checked_sets(images, rig, slice(None))
    number = question.number(len(sets))
    depths = depth_files(depth_dir, images, rig, sets)
    predictor = _ready(bundle, question, device)
    predict_set(predictor, sets[number], seen_depths(predictor, depths, depth_dir)[number], rig)
    shown = {name: None if file is None else _thumbnail(file) for name, file in zip(rig.names, sets[number].files)}
    return _answer(predictor, question, shown, rig.cameras)


def query_scene(folder: str | Path, question: Question) -> tuple[WordSummary, ...]:
    """Ask a stored scene with text features: what ``gsocc_core reconstruct`` wrote.

    Args:
        folder: The scene.
        question: What to ask; there is one frame.

    Returns:
        What was found of each word; see :func:`write_answer` for the files.

    Raises:
        OutputExistsError: the output exists.
        ConfigError: there is no such frame; or the words are none, too many, or some that the encoder does not know.
        DataError: the folder is damaged, or holds no text features.
    """
    _check_free(question.out)
    question.number(1)
    folder = Path(folder)
    about, words = read_about(folder), load_scene_words(folder)
    if words is None:
        raise DataError(folder, WORDS_FILE, "text features of the scene", "no such file")
    grid, scene = read_grid(folder / "occupancy.npz"), read_gaussians(folder / "gaussians.npz")
    scores = words.about(scene, grid, question.text_encoder, question.negatives)(question.words)
    views = [read_view(folder, camera) for camera in about["cameras"]]
    images = {camera.name: None if path is None else _thumbnail(path) for camera, path in views}
    told = _Answered(scores, grid, words.text.encoder, str(about.get("bundle", "")))
    return _write(told, question, images, [camera for camera, _ in views])


def write_answer(
    folder: str | Path,
    scores: VoxelScores,
    semantics: SemanticGrid,
    found: FoundVoxels,
    *,
    threshold: float = THRESHOLD,
    negatives: Sequence[str] = (),
    encoder: str = "",
    bundle_id: str = "",
    reference_stamp_ns: int = 0,
) -> None:
    """Write ``scores.npz``, which says itself what it holds, and a cloud ``<number>_<word>.ply`` per word.

    A cloud has the voxels that were found: x, y, z (metres, ego frame) and score.

    Args:
        folder: An existing folder.
        scores: The answer.
        semantics: Labels (X, Y, Z) that it is about.
        found: Voxels that reach the threshold.
        threshold: The threshold.
        negatives: Words that competed.
        encoder: Name of the text encoder.
        bundle_id: Id of the model.
        reference_stamp_ns: Time that everything refers to.

    Raises:
        OutputExistsError: a file exists.
    """
    path, grid, classes = Path(folder) / "scores.npz", scores.grid, semantics.classes
    _check_free(path)
    np.savez_compressed(
        path, README=np.array(README), layout=np.array(1), words=np.array(scores.words), scores=scores.scores.numpy(),
        negatives=np.array(negatives, dtype=str), threshold=np.array(threshold), labels=semantics.labels.cpu().numpy(),
        class_names=np.array(classes.names), free_id=np.array(classes.free_id), lower_m=np.array(grid.lower),
        upper_m=np.array(grid.upper), voxel_size_m=np.array(grid.size_m), T_ego_grid=grid.T_ego_grid_matrix,
        encoder=np.array(encoder), bundle=np.array(bundle_id),
        reference_stamp_ns=np.array(reference_stamp_ns, np.int64),
    )  # fmt: skip
    for number, word in enumerate(scores.words):
        mine = found.word == number
        columns = dict(zip("xyz", found.centers_m[mine].T)) | {"score": found.score[mine]}
        write_ply(Path(folder) / f"{number:02d}_{_file_name(word)}.ply", columns, [f"word {word}"])


def _ready(bundle: str | Path, question: Question, device: str) -> OccupancyPredictor:
    _check_free(question.out)
    predictor = OccupancyPredictor.load(bundle, device, question.text_encoder)
    predictor.prepare_query(question.words, question.negatives)
    return predictor


@dataclass(frozen=True)
class _Answered:
    """Scores and what they are about."""

    scores: VoxelScores
    grid: SemanticGrid
    encoder: str
    bundle_id: str
    reference_stamp_ns: int = 0


def _answer(
    predictor: OccupancyPredictor,
    question: Question,
    images: Mapping[str, np.ndarray | None],
    cameras: Sequence[Camera],
) -> tuple[WordSummary, ...]:
    """Query the predictor's last prediction and write everything."""
    prediction = predictor.last_prediction
    assert prediction is not None
    scores = predictor.query(question.words, prediction, question.negatives)
    encoder = prediction.text.encoder if prediction.text else ""
    told = _Answered(scores, prediction.grid, encoder, predictor.bundle.id, prediction.reference_stamp_ns)
    return _write(told, question, images, cameras)


def _write(
    told: _Answered, question: Question, images: Mapping[str, np.ndarray | None], cameras: Sequence[Camera]
) -> tuple[WordSummary, ...]:
    found = find_voxels(told.scores, question.threshold)
    summaries = summarize(told.scores, found)
    with whole_folder(question.out) as temporary:
        write_answer(
            temporary, told.scores, told.grid, found, threshold=question.threshold, negatives=question.negatives,
            encoder=told.encoder, bundle_id=told.bundle_id, reference_stamp_ns=told.reference_stamp_ns,
        )  # fmt: skip
        captions = [summary.text for summary in summaries]
        picture = draw_query(images, cameras, told.grid, told.scores, question.threshold, captions)
        picture.save(temporary / "picture.png")
    return summaries


def _thumbnail(path: Path) -> np.ndarray:
    return decode_image(path, min_width=_TILE, min_height=_TILE // 2)


def _file_name(word: str) -> str:
    """A word as part of a file's name on any system."""
    return re.sub(r"[^\w-]+", "_", word)[:60]


def _check_free(path: Path) -> None:
    if path.exists():
        raise OutputExistsError(path, "out", "a path that does not exist", "an existing one")
    check_place(path)
