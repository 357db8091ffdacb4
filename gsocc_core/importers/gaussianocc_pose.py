# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc's published pose network (Gan et al., ICCV 2025) as a bundle of method ``gaussianocc_pose``.

It is in the folders of both stages. The depth network of the first stage was never published: that of the bundle is a
small one with random weights, so that only motions mean anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gsocc_core.data.args import DDAD_CAMERAS, SURROUND_CAMERAS
from gsocc_core.data.images import fit_camera
from gsocc_core.errors import BundleError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.importers.bundles import changed, check_new
from gsocc_core.importers.gaussianocc import LICENCE, POSE_FILES, TrainedOn, data_of, pose_keys, read_pose_files
from gsocc_core.importers.key_map import carry_over
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.inference.model_card import pose_card
from gsocc_core.inference.origin import Origin
from gsocc_core.methods.build import build_trainable
from gsocc_core.methods.gaussianocc_pose import GaussianOccPose
from gsocc_core.synthetic.sensors.ddad_car import make_ddad_car
from gsocc_core.synthetic.sensors.rig import make_rig

#: The published configuration of the pose network; pictures are those of the second stage.
POSE_ARGUMENTS: Mapping[str, Any] = {
    "image_size": [384, 640],
    "backbone": {"hub_id": None, "model_type": "resnet", "out_indices": [2, 3, 4],
                 "model_args": {"embedding_size": 8, "hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1],
                                "layer_type": "basic"}},
    "motion_backbone": {"hub_id": None, "model_type": "resnet", "out_indices": [4],
                        "model_args": {"embedding_size": 64, "hidden_sizes": [64, 128, 256, 512],
                                       "depths": [3, 4, 6, 3], "layer_type": "basic"}},
    "network": {"dim": 8, "detail": 4, "motion_dim": 256, "motion_scale": 0.01},
    "neighbours": {"most_s": 0.15, "stamps": "ignored"},
}  # fmt: skip
_DEPTH_NOTE = (
    "motions alone: the depth network of the first stage was not published, and that of this bundle is a small one "
    "with random weights; depth and what evaluate-poses says of it mean nothing"
)
_RIG_NOTE = "it knows one rig, about as here: the cameras of the data, where they stand on the car"


def import_pose_network(
    checkpoint: str | Path,
    out: str | Path,
    trained_on: TrainedOn | None = None,
    model: Mapping[str, Any] | None = None,
) -> Origin:
    """Write a bundle of the pose network of a folder of GaussianOcc's authors, of either stage.

    Args:
        checkpoint: Folder with ``pose_encoder.pth`` and ``pose.pth``.
        out: Folder to make.
        trained_on: Data of the training, whose rig the network knows; None = by the folder's name.
        model: Arguments of our method that differ from the published configuration.

    Returns:
        What users must know of it.

    Raises:
        BundleError: a file is missing, is no checkpoint, or has other tensors.
        ConfigError: the data are not known, or ``model`` cannot be built.
        OutputExistsError: ``out`` exists.
    """
    check_new(out)
    folder = Path(checkpoint)
    expected = f"a folder of GaussianOcc with {' and '.join(POSE_FILES)}"
    if not folder.is_dir():
        raise BundleError(folder, "folder", expected, "a file" if folder.exists() else "no such folder")
    files = read_pose_files(folder)
    if files is None:
        raise BundleError(folder, POSE_FILES[0], expected, "no such file")
    chosen = data_of(folder, trained_on)
    names = list(SURROUND_CAMERAS if chosen == "nuscenes" else DDAD_CAMERAS)
    arguments = changed({"cameras": names, **POSE_ARGUMENTS}, model or {})
    built = build_trainable("gaussianocc_pose", arguments, None, pretrained=False, where=folder)
    assert isinstance(built, GaussianOccPose)
    encoder, head = pose_keys()
    carry_over(files, [*encoder, *head], built.learned.ego_motion, "GaussianOcc's pose network")
    _know_rig(built, chosen)
    height, width = built.image_size
    data = {"nuscenes": "nuScenes", "ddad": "DDAD"}[chosen]
    origin = Origin(
        system=f"GaussianOcc, pose network of {data}",
        source=f"folder {folder.resolve().name}, linked at github.com/GANWANSHUI/GaussianOcc",
        licence=LICENCE,
        licence_id="other",
        trained_on=f"{data} train, pictures alone: neighbouring pictures and the overlaps of the rig's cameras",
        pictures=f"{height} x {width} RGB of two moments one camera cycle apart, earlier first; 0..1 minus 0.45, "
        "divided by 0.225",
        voxels="none: the motion of the rig, in metres, the mean over its cameras",
        published="none of the poses by themselves",
        notes=(_DEPTH_NOTE, _RIG_NOTE),
    )
    count = sum(parameter.numel() for parameter in built.learned.parameters())
    card = pose_card(Path(out).name, "gaussianocc_pose", count, built.image_size, origin.markdown(), origin.licence_id)
    save_bundle(out, "gaussianocc_pose", arguments, built.eval(), card, half=False, origin=origin)
    return origin


def _know_rig(method: GaussianOccPose, data: TrainedOn) -> None:
    """Tell a pose network the rig of its training, as cars of the data set about have it."""
    cameras: Sequence[Camera] = (
        make_rig(np.random.default_rng(0)).cameras if data == "nuscenes" else make_ddad_car().cameras
    )
    known = {camera.name: camera for camera in cameras}
    height, width = method.image_size
    for index, name in enumerate(method.cameras):
        if (camera := known.get(name)) is None:
            continue
        fitted = fit_camera(camera, width, height).intrinsics / np.array([[width], [height], [1.0]])
        method.learned.rig_poses[index] = _number(camera.T_ego_cam)
        method.learned.rig_intrinsics[index] = _number(fitted)


def _number(value: np.ndarray) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float32)
