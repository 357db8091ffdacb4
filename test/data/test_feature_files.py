# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Features of pictures: their files, and the part of a map that a cropped picture keeps."""

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from gsocc_core.data.feature_files import (
    decode_features,
    encode_features,
    fit_features,
    open_features,
    read_basis,
    write_basis,
)
from gsocc_core.data.images import cover
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.errors import DataError, ShapeError
from gsocc_core.geometry.cameras import Camera

RNG = np.random.default_rng(0)
CAMERA = Camera("front", np.diag([800.0, 800.0, 1.0]), np.eye(4), 1600, 900)


def test_features_come_back_in_sixteen_bits(tmp_path):
    maps = {"front": RNG.normal(size=(5, 3, 4)), "back": np.full((5, 2, 2), 1e6)}
    stored = encode_features(maps)
    assert stored == encode_features(maps)
    (tmp_path / "t.zip").write_bytes(stored)
    read = decode_features(tmp_path / "t.zip")
    assert list(read) == ["front", "back"]
    np.testing.assert_allclose(read["front"], maps["front"], rtol=1e-3)
    assert read["front"].dtype == np.float16
    assert (read["back"] == 65504).all(), "clipped, not infinite"
    assert list(decode_features(stored, cameras=("back",))) == ["back"]
    with np.load(tmp_path / "t.zip") as file:
        assert (file["front"] == read["front"]).all(), "NumPy alone reads them"


@pytest.mark.parametrize("size", [(704, 256), (1000, 900), (352, 128)])
def test_a_crop_reads_the_map_where_the_picture_is(size):
    """Against grid_sample at the cells' centres, computed in pixels of the whole picture."""
    width, height = size
    features = RNG.normal(size=(3, 27, 48)).astype(np.float32)
    fitted = fit_features(features, CAMERA, width, height)
    scale, top, left = cover(CAMERA, width, height)
    assert abs(fitted.shape[1] - 27 * height / scale / 900) <= 0.5
    assert abs(fitted.shape[2] - 48 * width / scale / 1600) <= 0.5
    rows = ((np.arange(fitted.shape[1]) + 0.5) * height / fitted.shape[1] + top) / scale / 900 * 2 - 1
    columns = ((np.arange(fitted.shape[2]) + 0.5) * width / fitted.shape[2] + left) / scale / 1600 * 2 - 1
    grid = torch.from_numpy(np.stack(np.meshgrid(columns, rows), -1)).float()[None]
    expected = functional.grid_sample(
        torch.from_numpy(features)[None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    np.testing.assert_allclose(fitted, expected[0].numpy(), atol=1e-4)


def test_a_whole_picture_keeps_its_map_at_any_size():
    features = RNG.normal(size=(2, 37, 66)).astype(np.float16)
    for width, height in ((1600, 900), (176, 99), (177, 100)):
        assert (fit_features(features, CAMERA, width, height) == features).all()
    assert fit_features(np.ones((2, 1, 1)), CAMERA, 704, 256).shape == (2, 1, 1)


def test_what_are_no_features_is_refused(tmp_path):
    with pytest.raises(ShapeError, match=r"front: expected \(D, h, w\)"):
        encode_features({"front": np.ones((2, 2))})
    with pytest.raises(ShapeError, match="front: expected finite"):
        encode_features({"front": np.full((2, 2, 2), np.nan)})
    with pytest.raises(DataError, match=r"back: expected one of \('front',\)"):
        decode_features(encode_features({"front": np.ones((1, 1, 1))}), cameras=("back",))
    (tmp_path / "t.zip").write_bytes(encode_features({"front": np.ones((1, 1, 1))})[:-40])
    with pytest.raises(DataError, match=r"t\.zip: content"):
        decode_features(tmp_path / "t.zip")


@pytest.mark.parametrize("made", [{"model": "owner/dino"}, {"model": "none: a stand-in", "encoder": "wordllama"}, None])
def test_an_open_folder_carries_its_basis_and_what_made_it(tmp_path, made):
    frame = KeyFrame("t", "s", 0, 0, np.eye(4), np.eye(4), Path("l"), (SimpleNamespace(camera=CAMERA, path=Path("a")),))
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "t.zip").write_bytes(encode_features({"front": np.ones((2, 1, 1))}))
    if made is None:
        (tmp_path / "cameras.json").write_text(json.dumps(["front"]))
    else:
        (tmp_path / "labels.json").write_text(json.dumps({"cameras": ["front"], **made}))
    opened = open_features(tmp_path, frame)
    assert opened.channels == 2
    assert opened.basis is None
    assert opened.source == (None if made is None else list(made.values())[-1])
    write_basis(tmp_path, torch.eye(5)[:, :2])
    assert torch.equal(open_features(tmp_path, frame).basis, torch.eye(5)[:, :2])


def test_a_basis_is_written_where_there_are_no_hard_links(tmp_path, monkeypatch):
    def link(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    assert torch.equal(write_basis(tmp_path, torch.eye(3)), torch.eye(3))
    assert torch.equal(write_basis(tmp_path, torch.zeros(3, 3)), torch.eye(3)), "the first decides"
    assert [p.name for p in tmp_path.iterdir()] == ["basis.safetensors"]


def test_why_a_basis_was_not_written_is_told(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"basis\.safetensors: write: .* a file that can be written, .*No such file"):
        write_basis(tmp_path / "nowhere", torch.eye(3))

    def link(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    def create(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr("gsocc_core.data.feature_files._create", create)
    with pytest.raises(DataError, match="No space left on device"):
        write_basis(tmp_path, torch.eye(3))
    assert read_basis(tmp_path) is None
    assert not list(tmp_path.iterdir())
