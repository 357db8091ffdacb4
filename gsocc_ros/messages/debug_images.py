# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The predicted Gaussians seen through the cameras: does the scene fit the pictures?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from gsocc_core import Cameras, ClassTable, Gaussians, splat_to_image
from gsocc_ros.messages.message_host import MessageHost

#: Width of one camera's rendering, pixels.
WIDTH_PX = 160


def rendered_views(scene: Gaussians, cameras: Cameras, classes: ClassTable) -> tuple[np.ndarray, np.ndarray]:
    """Render classes and depth of all cameras: up to three side by side, more in two rows.

    Args:
        scene: Gaussians (N) with class logits.
        cameras: (V,) cameras of the prediction; distortion is left out, fisheye lenses are seen as pinhole ones.
        classes: Says what the logits mean.

    Returns:
        (R * H, ceil(V / R) * W, 3) uint8 colours of the strongest class, black where nothing is, in R rows; likewise
        float32 expected depth in metres, 0 where nothing is.
    """
    height = max(1, round(cameras.height * WIDTH_PX / cameras.width))
    plain = Cameras(
        cameras.intrinsics, cameras.T_ego_cam, cameras.width, cameras.height, "pinhole", None, cameras.T_ref_ego
    )
    views = plain.resized(WIDTH_PX, height)
    with torch.inference_mode():
        shown = splat_to_image(scene.map(torch.detach), views, depth="expected")
    solid = shown.alpha > 0.5
    palette = torch.from_numpy(classes.palette())[torch.tensor(classes.channel_ids)]
    colors = torch.where(solid[..., None].cpu(), palette[shown.features.argmax(-1).cpu()], 0).numpy().astype(np.uint8)
    depth = torch.where(solid, shown.depth, 0.0).float().cpu().numpy()
    return _in_rows(colors), _in_rows(depth)


def _in_rows(pictures: np.ndarray) -> np.ndarray:
    """One picture out of (V, H, W, ...)."""
    rows = 1 if len(pictures) <= 3 else 2
    missing = -len(pictures) % rows
    padded = np.concatenate([pictures, np.zeros((missing, *pictures.shape[1:]), pictures.dtype)])
    columns = len(padded) // rows
    return np.concatenate([np.concatenate(list(padded[r * columns : (r + 1) * columns]), axis=1) for r in range(rows)])


def image_message(host: MessageHost, picture: np.ndarray, stamp_ns: int, frame_id: str) -> Any:
    """A sensor_msgs/Image: rgb8 from (H, W, 3) uint8, 32FC1 from (H, W) float32."""
    encoding = "rgb8" if picture.dtype == np.uint8 else "32FC1"
    data = np.frombuffer(np.ascontiguousarray(picture).tobytes(), np.uint8)
    return host.make(
        "sensor_msgs/msg/Image",
        header=host.header(stamp_ns, frame_id),
        height=picture.shape[0],
        width=picture.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=picture.strides[0] if picture.flags.c_contiguous else picture.shape[1] * picture.itemsize,
        data=data,
    )


def debug_builders(
    host: MessageHost, scene: Gaussians, cameras: Cameras, classes: ClassTable, stamp_ns: int, frame_id: str
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Functions that make the class picture and the depth picture; both share one rendering."""
    made: list[tuple[np.ndarray, np.ndarray]] = []

    def picture(which: int) -> Any:
        if not made:
            made.append(rendered_views(scene, cameras, classes))
        return image_message(host, made[0][which], stamp_ns, frame_id)

    return lambda: picture(0), lambda: picture(1)
