# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Class tables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core import OCC3D_NUSCENES, ClassTable
from gsocc_core.errors import ConfigError

byte = st.integers(0, 255)


@st.composite
def tables(draw):
    text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)
    names = draw(st.lists(text, min_size=1, max_size=8, unique=True))
    ids = st.integers(0, len(names) - 1)
    return ClassTable(
        names=tuple(names),
        colors=tuple(draw(st.tuples(byte, byte, byte)) for _ in names),
        free_id=draw(ids),
        ignore_id=draw(st.integers(len(names), 255)),
        dynamic_ids=tuple(draw(st.lists(ids, max_size=4))),
        channel_to_id=draw(st.none() | st.lists(ids, min_size=1, max_size=4).map(tuple)),
        prompts=draw(st.none() | st.just(tuple((name, "thing") for name in names))),
    )


@settings(deadline=None, max_examples=60)
@given(tables())
def test_yaml_keeps_every_table(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("classes") / "classes.yaml"
    table.to_yaml(path)
    assert ClassTable.from_yaml(path) == table


def test_occ3d_has_its_published_order():
    assert OCC3D_NUSCENES.names[:5] == ("others", "barrier", "bicycle", "bus", "car")
    assert OCC3D_NUSCENES.names[11:] == (
        "driveable_surface", "other_flat", "sidewalk", "terrain", "manmade", "vegetation", "free",
    )  # fmt: skip
    assert {OCC3D_NUSCENES.names[i] for i in OCC3D_NUSCENES.dynamic_ids} == {
        "bicycle", "bus", "car", "construction_vehicle", "motorcycle", "pedestrian", "trailer", "truck",
    }  # fmt: skip
    assert len(set(OCC3D_NUSCENES.colors)) == 18


def test_palette_and_channels():
    palette = OCC3D_NUSCENES.palette()
    assert palette.shape == (256, 3)
    assert palette.dtype == np.uint8
    assert tuple(palette[4]) == OCC3D_NUSCENES.colors[4]
    assert not palette[18:].any()
    assert OCC3D_NUSCENES.channel_ids == tuple(range(18))
    some = OCC3D_NUSCENES.with_channels(range(1, 17))
    assert some.channel_ids == tuple(range(1, 17))
    assert some.with_channels(None) == OCC3D_NUSCENES


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"colors": ((0, 0, 0),)}, "colors"), ({"colors": ((0, 0, 256), (0, 0, 0))}, "colors"),
        ({"names": ("a", "a")}, "names"), ({"free_id": 2}, "free_id"), ({"ignore_id": 1}, "ignore_id"),
        ({"ignore_id": 256}, "ignore_id"), ({"dynamic_ids": (0, 5)}, "dynamic_ids"),
        ({"channel_to_id": (-1,)}, "channel_to_id"), ({"prompts": (("a",),)}, "prompts"),
    ],
)  # fmt: skip
def test_bad_tables_are_named(change, key):
    good = {"names": ("a", "b"), "colors": ((0, 0, 0), (1, 1, 1)), "free_id": 1}
    ClassTable(**good)
    with pytest.raises(ConfigError, match=f"ClassTable: {key}"):
        ClassTable(**{**good, **change})


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("names: [a", "classes.yaml: file: expected a YAML"), ("[1, 2]", "a mapping"),
        ("names: [a]\ncolors: [[0, 0, 0]]\n", "free_id"),
        ("names: [a]\ncolors: [[0, 0, 0]]\nfree_id: 0\ncolours: 1\n", "colours"),
        ("names: 3\ncolors: [[0, 0, 0]]\nfree_id: 0\n", "classes.yaml: names"),
        ("names: [no]\ncolors: [[0, 0, 0]]\nfree_id: 0\n", r"classes.yaml: names\[0\]"),
        ("names: [a]\ncolors: [[0, 0, 0]]\nfree_id: x\n", "classes.yaml: free_id"),
        ("names: [a]\ncolors: [red]\nfree_id: 0\n", r"classes.yaml: colors\[0\]"),
        ("1: 2\nx: 3\n", "classes.yaml: 1: expected one of"),
    ],
)  # fmt: skip
def test_bad_files_are_named(tmp_path, text, match):
    path = tmp_path / "classes.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=match):
        ClassTable.from_yaml(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none.yaml"):
        ClassTable.from_yaml(tmp_path / "none.yaml")
