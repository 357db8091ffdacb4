# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Trees in nuScenes layout without what people leave out: links between rows, pictures of maps, the tables' name."""

import json
import shutil

import pytest

from gsocc_core.data.args import DataArgs
from gsocc_core.data.nuscenes import NuScenesOccupancy
from gsocc_core.data.nuscenes_index import open_nuscenes, read_key_frames, tables_version
from gsocc_core.errors import DataError

pytest.importorskip("nuscenes")
LINKS = {
    "scene": ("first_sample_token", "last_sample_token"), "sample": ("prev", "next"), "sample_data": ("prev", "next"),
}  # fmt: skip


@pytest.fixture
def tree(tiny_tree, tmp_path):
    """A copy of the tables beside the same pictures, without maps."""
    shutil.copytree(tiny_tree / "v1.0-tiny", tmp_path / "v1.0-tiny")
    (tmp_path / "samples").symlink_to(tiny_tree / "samples")
    return tmp_path


def change(root, table, edit):
    path = root / "v1.0-tiny" / f"{table}.json"
    rows = json.loads(path.read_text())
    path.write_text(json.dumps(edit(rows) or rows))


def without_links(rows):
    for row in rows:
        for keys in LINKS.values():
            for key in keys:
                row.pop(key, None)
    rows.reverse()  # nor does their order tell


def test_links_are_found_by_stamps(tiny_tree, tree):
    for table in LINKS:
        change(tree, table, without_links)
    boxes = [{"token": f"box-{i}", "instance_token": "i", "sample_token": f"scene-a-{i}"} for i in (2, 0, 1)]
    change(tree, "category", lambda _: [{"token": "c", "name": "vehicle.car"}])
    change(tree, "instance", lambda _: [{"token": "i", "category_token": "c"}])
    change(tree, "sample_annotation", lambda _: boxes)
    whole, found = open_nuscenes(tiny_tree, "v1.0-tiny"), open_nuscenes(tree, "v1.0-tiny")
    for table, keys in LINKS.items():
        links = [{row["token"]: [row[key] for key in keys] for row in getattr(nusc, table)} for nusc in (whole, found)]
        assert links[0] == links[1]
        assert len(links[0]) > 1
    assert [found.get("sample_annotation", f"box-{i}")["next"] for i in range(3)] == ["box-1", "box-2", ""]
    cameras = ("CAM_FRONT", "CAM_BACK")
    one, other = (read_key_frames(nusc, ["scene-b"], cameras)[0] for nusc in (whole, found))
    assert [f.token for f in one] == [f.token for f in other]
    assert [f.shots[1].stamp_ns for f in one] == [f.shots[1].stamp_ns for f in other]


def test_equal_stamps_link_nothing(tree):
    change(tree, "sample", without_links)
    change(tree, "sample", lambda rows: [row | {"timestamp": 7} for row in rows])
    with pytest.raises(DataError, match=r"sample\.json: .*: expected prev and next in every row, or stamps that"):
        open_nuscenes(tree, "v1.0-tiny")


def test_a_scene_without_samples_has_no_first_one(tree):
    change(tree, "scene", without_links)
    change(tree, "sample", lambda rows: [row for row in rows if not row["token"].startswith("scene-b")])
    change(tree, "sample_data", lambda rows: [row for row in rows if "scene-b" not in row["token"]])
    with pytest.raises(DataError, match=r"sample\.json: samples of .*: expected one or more, received none"):
        open_nuscenes(tree, "v1.0-tiny")


def test_maps_need_not_be_there(tree):
    assert not (tree / "maps").exists()
    nusc = open_nuscenes(tree, "v1.0-tiny")
    assert [row["filename"] for row in nusc.map] == ["maps/map.png"] * len(nusc.map)
    change(tree, "map", lambda rows: [row | {"log_tokens": []} for row in rows])
    nusc = open_nuscenes(tree, "v1.0-tiny")
    assert nusc.get("map", nusc.log[0]["map_token"])["filename"] == ""


def test_the_only_tables_are_taken_where_none_are_named(tiny_tree, tree, tmp_path):
    assert tables_version(tree, "v1.0-trainval") == "v1.0-tiny"
    args = DataArgs(str(tiny_tree), split="val")
    assert NuScenesOccupancy(args, (32, 64)).args.version == "v1.0-tiny"
    with pytest.raises(DataError, match=r"v1\.0-mini: expected a folder .* \(is --version v1\.0-tiny meant\?\)"):
        tables_version(tree, "v1.0-mini")
    shutil.copytree(tree / "v1.0-tiny", tree / "v1.0-more")
    with pytest.raises(DataError, match=r"v1\.0-trainval: expected a folder with the nuScenes tables"):
        tables_version(tree, "v1.0-trainval")
    missing = tmp_path / "missing"
    with pytest.raises(DataError, match="missing: dataroot: expected a folder with the data set, received no such fo"):
        NuScenesOccupancy(DataArgs(str(missing)), (32, 64))


def test_a_stamp_beyond_64_bits_is_named(tree):
    change(tree, "sample_data", lambda rows: [row | {"timestamp": 1 << 63} for row in rows])
    with pytest.raises(DataError, match=r"sample_data\.json: timestamp of .*: expected microseconds since 1970"):
        read_key_frames(open_nuscenes(tree, "v1.0-tiny"), ["scene-a"], ("CAM_FRONT",))
