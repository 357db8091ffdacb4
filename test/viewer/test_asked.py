# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of a drive can be asked for words where the model has text features, each of its own prediction."""

import numpy as np
import pytest
import torch

from gsocc_core import OccupancyPredictor
from gsocc_core.data.build import build_dataset
from gsocc_core.evaluation.score import scoring_data
from gsocc_core.viewer.asked import answer
from gsocc_core.viewer.frames import ViewFrame
from gsocc_core.viewer.open_source import open_source

from ..worded import MEANS, Worded, write_bundle  # noqa: TID252 - tests are no package


@pytest.fixture
def bundle(monkeypatch, tmp_path):
    """The model sees other things with every frame."""
    forward, calls = Worded.forward, []

    def changing(self, frames, memory=None):
        calls.append(1)
        self.aligned.data = self.aligned.data.roll(1, dims=0)
        return forward(self, frames, memory)

    monkeypatch.setattr(Worded, "forward", changing)
    return write_bundle(monkeypatch, tmp_path / "worded")


def test_every_frame_answers_for_itself(bundle, tiny_tree):
    predictor, words = OccupancyPredictor.load(bundle, "cpu"), ["horse", "bus"]
    dataset = build_dataset(scoring_data(str(tiny_tree), "v1.0-tiny", occ3d_dir=None), predictor.image_size)
    expected = []
    for index in range(3):
        predictor.predict_frames(dataset[index])
        expected.append(predictor.query(words))
    source = open_source(tiny_tree, "v1.0-tiny", bundle=bundle, device="cpu")
    try:
        frames = [source.frame(index) for index in range(3)]
        for frame, scores in zip(frames, expected):
            found = frame.ask(words)
            assert torch.equal(found.index, scores.index)
            torch.testing.assert_close(found.values, scores.values, atol=2e-3, rtol=0)  # kept in 16 bits
    finally:
        source.close()
    assert not torch.equal(expected[0].values, expected[1].values)
    said = answer(frames[0], words, 0.5)
    place, _ = frames[0].prediction.grid.index(torch.tensor(MEANS[0]))
    count = len(frames[0].prediction.classes.names)
    assert int(said.prediction.labels[tuple(place)]) == count, "the horse has come round"
    assert np.isin(said.prediction.labels.numpy(), [count, count + 1]).sum() == 2
    assert said.text.count("<div") == 2


def test_an_encoder_whose_files_lie_elsewhere_is_named_by_an_option(monkeypatch, tiny_tree, tmp_path):
    moved = write_bundle(monkeypatch, tmp_path / "moved", called="clip:./weights/clip")
    for encoder, said in ((None, "name yours as --text_encoder"), ("wordllama", "horse: 1 voxel")):
        source = open_source(tiny_tree, "v1.0-tiny", bundle=moved, device="cpu", text_encoder=encoder)
        try:
            assert said in answer(source.frame(0), ["horse"], 0.5).text
        finally:
            source.close()


def test_frames_that_cannot_be_asked_stay_as_they_are(tiny_bundle, tiny_tree):
    source = open_source(tiny_tree, "v1.0-tiny", bundle=tiny_bundle, device="cpu")
    try:
        frame = source.frame(0)
    finally:
        source.close()
    assert frame.ask is None
    assert answer(frame, ["horse"], 0.5).prediction is frame.prediction
    assert answer(ViewFrame("nothing", 0), ["horse"], 0.5).prediction is None
