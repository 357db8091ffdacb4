# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Commands that show: the viewer, and pictures of predicted against true voxels."""

from __future__ import annotations

from gsocc_core.data.args import DatasetName


def view(
    source: str,
    version: str = "v1.0-trainval",
    scene: str | None = None,
    bundle: str | None = None,
    predictions: str | None = None,
    occ3d_dir: str | None = "gts",
    out: str | None = None,
    frame: int = 0,
    fps: float = 2.0,
    only_seen: bool = True,
    width: int = 1200,
    host: str = "127.0.0.1",
    port: int = 8080,
    device: str = "auto",
    dataset: DatasetName = "occ3d",
    labels_dir: str | None = None,
    input_depth_dir: str | None = None,
    input_features_dir: str | None = None,
    depth: bool = False,
    text_encoder: str | None = None,
) -> None:
    """Show a drive with its predictions, or snapshots, on a web page or as pictures.

    Args:
        source: Folder with a data set, a snapshot (of the node, or of `predict --snapshots true`), or a folder with
            snapshots.
        version: Name of the tables' folder of a nuScenes tree.
        scene: Scene of the data set; None = the first.
        bundle: Bundle folder or hub id that predicts every key frame beside the page; None = none does.
        predictions: Folder that ``gsocc_core predict`` wrote, shown instead.
        occ3d_dir: Folder of Occ3D labels inside the tree; null = no ground truth of any data set.
        out: Write a picture (.png, .jpg) or film (.gif, .mp4) instead of opening a page.
        frame: Frame of the picture, or where the page begins; negative numbers count from the end.
        fps: Frames per second of films and of the play button.
        only_seen: Show predictions in pictures only where the cameras see.
        width: Width of pictures, pixels.
        host: Address that the page listens on; 0.0.0.0 = reachable from other machines.
        port: TCP port of the page; the next free one if it is taken.
        device: cpu, cuda or auto.
        dataset: Data set that ``source`` holds: its layout, grid and classes.
        labels_dir: Folder of its voxel labels; None = the usual one.
        input_depth_dir: Folder of depth in the tree that the bundle gets beside the pictures; None = none.
        input_features_dir: Folder of features likewise; None = none.
        depth: Draw the depth that the bundle's Gaussians render beside the cameras of pictures and films.
        text_encoder: What embeds words that the page asks for, as in `query`; None = the encoder that the bundle names.
    """
    from gsocc_core.viewer.open_source import check_view, open_source, show

    check_view(out)
    found = open_source(
        source,
        version,
        scene,
        bundle,
        predictions,
        occ3d_dir,
        device,
        dataset,
        labels_dir,
        input_depth_dir,
        input_features_dir,
        depth,
        text_encoder,
    )
    show(found, out, frame, host, port, fps, only_seen, width)
    if out is not None:
        print(out)


def compare_views(
    source: str,
    out: str,
    version: str = "v1.0-trainval",
    scene: str | None = None,
    bundle: str | None = None,
    predictions: str | None = None,
    occ3d_dir: str = "gts",
    frame: int = 0,
    fps: float = 2.0,
    blink: bool = False,
    only_seen: bool = True,
    tile_width: int = 320,
    device: str = "auto",
    dataset: DatasetName = "occ3d",
    labels_dir: str | None = None,
    input_depth_dir: str | None = None,
    input_features_dir: str | None = None,
) -> None:
    """Draw predicted against true voxels as the cameras and one above see them, and score these pictures.

    Args:
        source: Folder with a data set, a snapshot (of the node, or of `predict --snapshots true`), or a folder with
            snapshots.
        out: Picture (.png, .jpg) of one frame, or film (.gif, .mp4) of all.
        version: Name of the tables' folder of a nuScenes tree.
        scene: Scene of the data set; None = the first.
        bundle: Bundle folder or hub id that predicts every key frame.
        predictions: Folder that ``gsocc_core predict`` wrote, drawn instead.
        occ3d_dir: Folder of Occ3D labels inside the tree.
        frame: Frame of the picture; negative numbers count from the end.
        fps: Frames per second of films.
        blink: Film of one frame that shows prediction and truth in turn.
        only_seen: Leave out predictions where the cameras do not see.
        tile_width: Width of each camera's picture, pixels.
        device: cpu, cuda or auto.
        dataset: Data set that ``source`` holds: its layout, grid, classes and scored voxels.
        labels_dir: Folder of its voxel labels; None = the usual one.
        input_depth_dir: Folder of depth in the tree that the bundle gets beside the pictures; None = none.
        input_features_dir: Folder of features likewise; None = none.
    """
    from gsocc_core.viewer.camera_views import table, write_camera_views
    from gsocc_core.viewer.open_source import open_source

    found = open_source(
        source,
        version,
        scene,
        bundle,
        predictions,
        occ3d_dir,
        device,
        dataset,
        labels_dir,
        input_depth_dir,
        input_features_dir,
    )
    print(f"{table(write_camera_views(found, out, frame, fps, blink, only_seen, tile_width))}\n{out}")
