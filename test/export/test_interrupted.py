# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Predictions and exports that were interrupted go on: what is complete is not predicted again."""

import numpy as np
import pytest
import torch
from PIL import Image

from gsocc_core.commands.cli import main
from gsocc_core.inference.predictor import OccupancyPredictor
from gsocc_core.rigs.nuscenes_rig import read_nuscenes

COMMANDS = {
    "tree": "predict {bundle} {out} --dataroot {tree} --version v1.0-tiny --limit 2",
    "snapshots": "predict {bundle} {out} --images {own}/pictures --rig {own}/rig.yaml --snapshots",
    "export": "export {bundle} {out} --dataroot {tree} --version v1.0-tiny --limit 2 --formats npz,occ3d",
}


@pytest.fixture(scope="module")
def own(tiny_tree, tmp_path_factory):
    """A rig and two sets of grey pictures."""
    folder = tmp_path_factory.mktemp("own")
    rig, _ = read_nuscenes(tiny_tree, "v1.0-tiny", "scene-a")
    rig.save(folder / "rig.yaml")
    for camera in rig.cameras:
        (folder / "pictures" / camera.name).mkdir(parents=True)
        for number in range(2):
            picture = Image.new("RGB", (camera.width, camera.height), (60 * number, 90, 90))
            picture.save(folder / "pictures" / camera.name / f"{number}.png")
    return folder


@pytest.fixture
def predicted(monkeypatch):
    """Counts predictions; the one of ``at`` is interrupted."""
    state = {"count": 0, "at": None}

    def counting(method):
        def same(self, *args, **kwargs):
            state["count"] += 1
            if state["count"] == state["at"]:
                raise KeyboardInterrupt
            return method(self, *args, **kwargs)

        return same

    for name in ("predict", "predict_frames"):
        monkeypatch.setattr(OccupancyPredictor, name, counting(getattr(OccupancyPredictor, name)))
    return state


def arrays(folder):
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if path.suffix == ".npz":
            with np.load(path) as stored:
                found[name] = {key: stored[key].tobytes() for key in stored.files}
        else:
            found[name] = path.read_bytes()
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupted_command_goes_on(name, own, predicted, tiny_tree, tiny_bundle, tmp_path, capsys):
    torch.set_num_threads(1)
    words = COMMANDS[name].format(bundle=tiny_bundle, tree=tiny_tree, own=own, out="{}") + " --device cpu"
    main(words.format(tmp_path / "whole").split())
    each = predicted["count"] // 2
    predicted.update(count=0, at=1 + each)
    again = words.format(tmp_path / "out").split()
    with pytest.raises(SystemExit) as end:
        main(again)
    assert end.value.code == 130
    assert "the same command goes on with the rest" in capsys.readouterr().err
    predicted.update(count=0, at=None)
    with pytest.raises(SystemExit) as end:
        main([*again[:-1], "auto"])
    assert end.value.code == 2
    assert "out.incomplete: device: expected 'cpu' as before" in capsys.readouterr().err
    predicted.update(count=0)
    main(again)
    assert predicted["count"] == each
    assert arrays(tmp_path / "out") == arrays(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "out"}
