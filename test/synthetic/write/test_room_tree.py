# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Trees of rooms: files agree with each other, bytes repeat whatever the jobs, the loader and the teacher read them."""

import hashlib

import numpy as np
import pytest

from gsocc_core.data.feature_files import decode_features
from gsocc_core.data.view_args import ViewArgs
from gsocc_core.data.view_dataset import ViewDataset
from gsocc_core.data.view_label_files import decode
from gsocc_core.data.view_schedule import SpanStage, ViewSchedule
from gsocc_core.errors import ConfigError, OutputExistsError
from gsocc_core.labels.run import LabelArgs
from gsocc_core.synthetic import synthesize as module
from gsocc_core.synthetic.stand_in import StandInArgs, label_stand_in
from gsocc_core.synthetic.synthesize import synthesize
from gsocc_core.synthetic.world.furniture import NAMES
from gsocc_core.synthetic.write.room_tree import write_room

KEYS = {"world": "rooms", "seed": 5, "frames": 5, "picture_size": (48, 64)}
SCHEDULE = ViewSchedule(stages=(SpanStage(0, (2, 2)),))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("rooms") / "tree"
    synthesize(root, scenes=2, val_scenes=1, jobs=1, **KEYS)
    return root


def digests(root, scene):
    files = sorted(path for path in (root / scene).rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_files_agree_with_each_other(tree):
    """What one view's depth says lies where another view shows the same name."""
    dataset = ViewDataset(ViewArgs(str(tree), schedule=SCHEDULE, split="val"), (48, 64))
    assert [scene.name for scene in dataset.source.scenes] == ["synthetic-5-0001"]
    assert dataset.source.names == NAMES.names
    views = dataset[0]
    np.testing.assert_array_equal(NAMES.class_of_name()[views.name_ids], views.semantics)
    assert (views.overlap > 0.3).all()
    depth, K, T = (a[0].double().numpy() for a in (views.depth_m, views.intrinsics, views.T_first_cam))
    v, u = np.mgrid[:48, :64]
    pixels = np.stack([u + 0.5, v + 0.5, np.ones_like(u)], -1).reshape(-1, 3)
    points = (pixels @ np.linalg.inv(K[0]).T * depth[0].reshape(-1, 1) - T[1, :3, 3]) @ T[1, :3, :3]
    at = points @ K[1].T / points[:, 2:]
    inside = ((at[:, :2] >= 0) & (at[:, :2] < [64, 48])).all(1) & (points[:, 2] > 0)
    column, row = at[inside, :2].astype(int).T
    shown = np.abs(depth[1][row, column] - points[inside, 2]) < 0.03
    names = views.name_ids[0].numpy()
    same = names[1][row, column] == names[0].ravel()[inside]
    assert shown.mean() > 0.5
    assert same[shown].mean() > 0.97


def test_what_was_interrupted_goes_on_with_what_is_missing(tree, tmp_path, monkeypatch):
    written = []

    def write(root, options, index, on_frame):
        written.append(index)
        if written == [0, 1]:
            (root / "synthetic-5-0001" / "color").mkdir(parents=True)
            raise KeyboardInterrupt
        return write_room(root, options, index, on_frame)

    monkeypatch.setitem(module._WRITERS, "scannet", write)
    with pytest.raises(KeyboardInterrupt):
        synthesize(tmp_path / "tree", scenes=2, val_scenes=1, jobs=1, **KEYS)
    with pytest.raises(OutputExistsError, match="incomplete: frames: expected 5 as before"):
        synthesize(tmp_path / "tree", scenes=2, val_scenes=1, jobs=1, **{**KEYS, "frames": 6})
    synthesize(tmp_path / "tree", scenes=2, val_scenes=1, jobs=2, **KEYS)  # jobs change nothing
    assert written == [0, 1, 1]
    assert digests(tmp_path / "tree", ".") == digests(tree, ".")
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_bytes_repeat_whatever_the_jobs_and_the_number_of_rooms(tree, tmp_path):
    synthesize(tmp_path / "again", scenes=2, jobs=2, **KEYS)
    for scene in ("synthetic-5-0000", "synthetic-5-0001"):
        assert digests(tmp_path / "again", scene) == digests(tree, scene)


def test_more_frames_are_the_same_walk_seen_more_often(tree, tmp_path):
    synthesize(tmp_path / "more", scenes=1, jobs=1, **{**KEYS, "frames": 9})
    few, many = (digests(root, "synthetic-5-0000") for root in (tree, tmp_path / "more"))
    for i in range(5):
        for kind in ("color", "depth", "labels"):
            assert few[f"synthetic-5-0000/{kind}/{i:06d}.png"] == many[f"synthetic-5-0000/{kind}/{2 * i:06d}.png"]


def test_the_stand_in_says_the_words_of_what_is_shown(tree, tmp_path):
    pytest.importorskip("wordllama")
    args = LabelArgs(str(tree), out=str(tmp_path), limit=1)
    assert args.cameras == ("color",)
    label_stand_in(args, StandInArgs(feature_noise=0.0, depth_noise=0.0))
    features = decode_features(tmp_path / "stand_in_features" / "synthetic-5-0000" / "000000.zip")["color"]
    assert features.shape[1:] == (6, 8)
    from gsocc_core.text.encoder import load_text_encoder

    words = load_text_encoder("wordllama").embed(list(NAMES.names)).numpy()
    dataset = ViewDataset(ViewArgs(str(tree), schedule=SCHEDULE, features_dir=str(tmp_path / "stand_in_features")),
                          (48, 64))  # fmt: skip
    source = dataset.source
    names = source.labels(source.frame(0, 0), 64, 48)[1]
    blocks = names.reshape(6, 8, 8, 8).transpose(0, 2, 1, 3).reshape(6, 8, 64)
    whole = (blocks == blocks[..., :1]).all(-1)
    assert whole.sum() > 5
    said = np.einsum("dhw,nd->hwn", features.astype(np.float32), words).argmax(-1)
    np.testing.assert_array_equal(said[whole], blocks[..., 0][whole])
    metres = decode(tmp_path / "stand_in_depth" / "synthetic-5-0000" / "000000.zip", "depth")["color"]
    np.testing.assert_allclose(metres, source.depth(source.frame(0, 0), 64, 48), rtol=0.003)


@pytest.mark.parametrize(("change", "told"), [
    ({"layout": "nuscenes"}, "layout: expected scannet, the only one of rooms"),
    ({"frames": 0}, r"frames: expected 1 \.\.\. 10000"), ({"picture_size": (8, 64)}, "picture_size: expected height"),
    ({"image_scale": 0.5}, "image_scale: expected 1"),
    ({"world": "plain", "layout": "scannet"}, "layout: expected another one: only rooms have it"),
])  # fmt: skip
def test_bad_arguments_are_told(tmp_path, change, told):
    with pytest.raises(ConfigError, match=f"synthesize: {told}"):
        synthesize(tmp_path / "out", **{**KEYS, **change})
    assert not (tmp_path / "out").exists()
