# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""SSCBench's label files, prepared and raw."""

import numpy as np
import pytest

from gsocc_core.data.sscbench_labels import SSCBENCH_GRID, SSCBENCH_KITTI360, read_sscbench, write_sscbench
from gsocc_core.errors import DataError, ShapeError

SHAPE = (256, 256, 32)


def test_grid_and_classes_are_the_benchmarks():
    assert SSCBENCH_GRID.shape == SHAPE
    assert len(SSCBENCH_KITTI360.names) == 19
    assert [SSCBENCH_KITTI360.names[i] for i in (0, 1, 7, 11, 18)] == [
        "free",
        "car",
        "road",
        "building",
        "other_object",
    ]


def test_what_is_written_is_read(tmp_path):
    labels = np.random.default_rng(0).integers(0, 19, SHAPE).astype(np.uint8)
    labels[:3] = 255
    write_sscbench(tmp_path / "drive", "000005", labels)
    assert [p.name for p in (tmp_path / "drive").iterdir()] == ["000005_1_1.npy"]
    assert (read_sscbench(tmp_path / "drive" / "000005_1_1.npy") == labels).all()


def test_raw_voxels_are_mapped_and_masked(tmp_path):
    raw = np.zeros(SHAPE, np.uint16)
    raw[1, 2, 3], raw[4, 5, 6], raw[7, 8, 9], raw[255, 255, 31] = 10, 13, 31, 252  # car, bus, bicyclist, moving car
    invalid = np.zeros(SHAPE, np.uint8)
    invalid[0, 0, 0] = invalid[100, 100, 1] = 1
    raw.tofile(tmp_path / "000000.label")
    np.packbits(invalid).tofile(tmp_path / "000000.invalid")
    labels = read_sscbench(tmp_path / "000000.label")
    expected = np.zeros(SHAPE, np.uint8)
    expected[1, 2, 3], expected[4, 5, 6], expected[7, 8, 9], expected[255, 255, 31] = 1, 5, 255, 1
    expected[0, 0, 0] = expected[100, 100, 1] = 255
    assert (labels == expected).all()


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "000000_1_1.npy"
    for content, expected in (
        (np.zeros((2, 2, 2), np.uint8), "shape: expected"),
        (np.full(SHAPE, 19, np.uint8), "class ids: expected whole numbers 0 ... 18 and 255, received 19"),
        (np.full(SHAPE, -1, np.int16), "class ids"),
    ):
        np.save(path, content)
        with pytest.raises(DataError, match=rf"000000_1_1\.npy: {expected}"):
            read_sscbench(path)
    path.write_bytes(b"hello")
    with pytest.raises(DataError, match="content"):
        read_sscbench(path)
    with pytest.raises(DataError, match="no such file"):
        read_sscbench(tmp_path / "000005_1_1.npy")
    np.zeros(8, np.uint16).tofile(tmp_path / "000000.label")
    with pytest.raises(DataError, match="size: expected 4194304 bytes, received 16"):
        read_sscbench(tmp_path / "000000.label")
    np.zeros(SHAPE, np.uint16).tofile(tmp_path / "000000.label")
    with pytest.raises(DataError, match=r"000000\.invalid: file: expected"):
        read_sscbench(tmp_path / "000000.label")
    with pytest.raises(ShapeError, match="write_sscbench"):
        write_sscbench(tmp_path, "000010", np.zeros((2, 2, 2), np.uint8))
