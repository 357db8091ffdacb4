# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Load a model and predict.

You learn what a camera is to gsocc (intrinsics, pose in the vehicle, picture size), how a bundle is loaded, and what a
prediction holds. The pictures come from a synthetic street, or from a folder of yours with a rig file:

    python examples/02_load_and_predict.py --images my_pictures --rig my_rig.yaml
"""

from pathlib import Path

import numpy as np
from jsonargparse import CLI

from gsocc_core import Camera, OccupancyPredictor
from gsocc_core.data.images import decode_image
from gsocc_core.pictures import draw_comparison
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_core.synthetic.render.camera import render_camera
from gsocc_core.synthetic.sensors.rig import make_rig
from gsocc_core.synthetic.world.street import build_street

BUNDLE = Path(__file__).resolve().parents[1] / "bundles" / "synthetic-gaussianflowocc"


def synthetic(seed: int, image_scale: float) -> tuple[list[np.ndarray], list[Camera]]:
    """Six pictures of a procedural street and the cameras that took them."""
    street, cameras = build_street(seed, duration_s=2.0), make_rig(np.random.default_rng(seed), image_scale).cameras
    T_world_ego = street.T_world_ego(1.0)
    pictures = []
    for camera in cameras:
        T_world_cam = T_world_ego @ camera.T_ego_cam  # T_a_b maps points of b into a
        view = render_camera(street, 1.0, camera.intrinsics, T_world_cam, camera.width, camera.height)
        pictures.append(view.rgb)
    return pictures, list(cameras)


def own(images: Path, rig: Path) -> tuple[list[np.ndarray | None], list[Camera]]:
    """One picture <camera>.jpg or .png per camera of a rig file; a missing one is None, which a model can live with."""
    cameras = list(CameraRig.load(rig).cameras)
    files = [next(iter(sorted(images.glob(f"{camera.name}.[jp]*"))), None) for camera in cameras]
    return [None if file is None else decode_image(file) for file in files], cameras


def main(
    out: Path = Path("prediction.png"),
    bundle: str = str(BUNDLE),
    images: Path | None = None,
    rig: Path | None = None,
    seed: int = 7,
    image_scale: float = 0.5,
) -> None:
    """Predict one set of pictures.

    Args:
        out: Picture to write.
        bundle: Bundle folder or Hugging Face hub id.
        images: Folder with a picture per camera; needs a rig.
        rig: Rig file; see docs/own_cameras.md.
        seed: Chooses the synthetic street.
        image_scale: Factor on 1600x900 of the synthetic pictures.
    """
    pictures, cameras = own(images, rig) if images and rig else synthetic(seed, image_scale)

    predictor = OccupancyPredictor.load(bundle)  # device="auto": CUDA if there is one
    prediction = predictor.predict(pictures, cameras)

    grid = prediction.grid  # labels (X, Y, Z) uint8 in the ego frame, with confidence
    names = [grid.classes.names[i] for i in grid.labels.unique().tolist()]
    print(f"{tuple(grid.labels.shape)} voxels, {int(grid.occupied.sum())} occupied: {', '.join(names)}")
    print(f"scene: {type(prediction.scene).__name__}; ms: { {k: round(v) for k, v in prediction.latency_ms.items()} }")
    draw_comparison({c.name: p for c, p in zip(cameras, pictures)}, grid).save(out)
    print(f"see {out}")


if __name__ == "__main__":
    CLI(main, as_positional=False)
