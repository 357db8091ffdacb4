# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Tables of names and their files."""

import numpy as np
import pytest

from gsocc_core.data.names import KeyFrameNames, NameTable, read_names, write_names
from gsocc_core.errors import ConfigError, DataError

TABLE = NameTable(("house", "tower", "fir"), (4, 4, 5))


def test_a_table_comes_back(tmp_path):
    TABLE.save(tmp_path / "names.json")
    assert NameTable.load(tmp_path / "names.json") == TABLE
    assert TABLE.class_of_name()[[0, 1, 2, 3, 255]].tolist() == [4, 4, 5, 255, 255]
    with pytest.raises(ConfigError, match="one of house, tower, fir, received oak"):
        TABLE.id_of("oak")
    with pytest.raises(ConfigError, match="unique names"):
        NameTable(("a", "a"), (1, 1))
    with pytest.raises(ConfigError, match="one class per name"):
        NameTable(("a",), (1, 2))


@pytest.mark.parametrize("content", ["[", '[{"name": "a"}]', '[{"name": "a", "class_id": "x"}]', "[1]"])
def test_a_broken_table_names_its_file(tmp_path, content):
    (tmp_path / "names.json").write_text(content)
    with pytest.raises(DataError, match=r"names\.json"):
        NameTable.load(tmp_path / "names.json")


def test_key_frames_come_back_and_faults_are_named(tmp_path):
    voxels = np.full((2, 3, 4), 255, np.uint8)
    voxels[1, 1, 1] = 2
    written = KeyFrameNames(voxels, np.zeros((6, 2, 2), np.uint8))
    write_names(tmp_path, "scene", "token", written)
    found = read_names(tmp_path, "scene", "token")
    np.testing.assert_array_equal(found.voxels, voxels)
    assert found.pictures.shape == (6, 2, 2)
    with pytest.raises(DataError, match=r"other\.npz: file: .*no such file"):
        read_names(tmp_path, "scene", "other")
    np.savez(tmp_path / "scene" / "token.npz", voxels=voxels.astype(np.int32), pictures=found.pictures)
    with pytest.raises(DataError, match=r"token\.npz: voxels: expected uint8 with three axes, received int32"):
        read_names(tmp_path, "scene", "token")
