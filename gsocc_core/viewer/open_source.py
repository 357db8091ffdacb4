# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``gsocc_core view``: finds out what there is to see, then shows a page or writes pictures."""

from __future__ import annotations

import sys
from pathlib import Path

from gsocc_core.data.args import DatasetName
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.evaluation.score import scoring_data
from gsocc_core.inference.predictor import OccupancyPredictor
from gsocc_core.pictures import class_colors, write_pictures
from gsocc_core.pictures.film import STILLS, check_output
from gsocc_core.viewer.comparison import ERROR_CLASSES
from gsocc_core.viewer.drive import DriveSource
from gsocc_core.viewer.frames import FrameSource
from gsocc_core.viewer.page import ViewerPage, import_viser
from gsocc_core.viewer.snapshot import SnapshotSource, snapshot_folders
from gsocc_core.viewer.still import draw_frame, draw_frames


def open_source(
    source: str | Path,
    version: str,
    scene: str | None = None,
    bundle: str | Path | None = None,
    predictions: str | Path | None = None,
    occ3d_dir: str | None = "gts",
    device: str = "auto",
    dataset: DatasetName = "occ3d",
    labels_dir: str | None = None,
    input_depth_dir: str | None = None,
    input_features_dir: str | None = None,
    depth: bool = False,
    text_encoder: str | None = None,
) -> FrameSource:
    """Open what a path names.

    Args:
        source: Folder with a data set, a snapshot of the node or of ``predict``, or a folder with snapshots.
        version: Name of the tables' folder of a nuScenes tree.
        scene: Scene of a data set; None = its first.
        bundle: Bundle folder or hub id that predicts a data set's key frames; None = none does.
        predictions: Folder that ``gsocc_core predict`` wrote; None = none.
        occ3d_dir: Folder of Occ3D labels in the tree; None = no ground truth of any data set.
        device: cpu, cuda or auto.
        dataset: Which data set ``source`` holds.
        labels_dir: Folder of its voxel labels; None = the usual one, or ``occ3d_dir``.
        input_depth_dir: Folder of depth in the tree that the bundle gets beside the pictures; None = none.
        input_features_dir: Folder of features likewise; None = none.
        depth: Draw the depth that the bundle's Gaussians render, too.
        text_encoder: What embeds words that the page asks for; None = the encoder that the bundle names.

    Returns:
        Frames to look at.

    Raises:
        ConfigError: arguments do not fit each other or the source.
        DataError: there is nothing to see, or it cannot be read.
        BundleError: the bundle is damaged.
    """
    path = Path(source)
    if snapshot_folders(path):
        given = {"scene": scene, "bundle": bundle, "predictions": predictions}
        for key, value in given.items():
            if value is not None:
                raise ConfigError("view", key, "none: a snapshot holds its own prediction", value)
        return SnapshotSource(path, text_encoder)
    if (path / "metadata.yaml").is_file():
        raise ConfigError("view", "source", "a data set or a snapshot; for bags: gsocc_core view-bag", str(path))
    if not path.is_dir():
        raise DataError(path, "source", "a folder with a data set or a snapshot of the node", "no such folder")
    if not (path / version).is_dir():
        _check_no_predictions(path)
    if bundle is not None and predictions is not None:
        raise ConfigError("view", "bundle, predictions", "one of the two", (str(bundle), str(predictions)))
    predictor = None if bundle is None else OccupancyPredictor.load(bundle, device, text_encoder)
    scenes = None if scene is None else (scene,)
    data = scoring_data(
        str(path), version, None, scenes, occ3d_dir, dataset=dataset, labels_dir=labels_dir,
        input_depth_dir=input_depth_dir, input_features_dir=input_features_dir,
    )  # fmt: skip
    return DriveSource(data, predictor, predictions, depth)


def _check_no_predictions(path: Path) -> None:
    """Predictions alone show neither cameras nor calibration."""
    if next(path.glob("*/labels.npz"), None) is not None:
        expected = "snapshots; `gsocc_core predict --images ... --snapshots true` writes some"
    elif next(path.glob("*/*/labels.npz"), None) is not None:
        expected = f"the data set they were made from, with --predictions {path}"
    else:
        return
    raise ConfigError("view", "source", expected, f"predictions in {path}")


def show(
    source: FrameSource,
    out: str | Path | None = None,
    frame: int = 0,
    host: str = "127.0.0.1",
    port: int = 8080,
    fps: float = 2.0,
    only_seen: bool = True,
    width: int = 1200,
) -> None:
    """Show a source on a page until Ctrl+C, or write it as a picture or film.

    Args:
        source: What to show.
        out: ``.png`` or ``.jpg`` = one frame, ``.gif`` or ``.mp4`` = all; None = a page.
        frame: Frame of the picture, or where the page begins; negative numbers count from the end.
        host: Address that the page listens on; 127.0.0.1 = this machine only.
        port: Its TCP port.
        fps: Frames per second of films and of the play button.
        only_seen: Draw predictions only where the cameras see.
        width: Width of pictures, pixels.

    Raises:
        ConfigError: there is no such frame, or a library is missing.
        DataError: a file cannot be read.
        OutputExistsError: the file is there.
    """
    if not -len(source) <= frame < len(source):
        raise ConfigError("view", "frame", f"{-len(source)} ... {len(source) - 1}", frame)
    if not 0 < fps <= 60:
        raise ConfigError("view", "fps", "above 0, up to 60", fps)
    if not 200 <= width <= 8000:
        raise ConfigError("view", "width", "200 ... 8000 px", width)
    index = frame % len(source)
    try:
        if out is None:
            _serve(source, host, port, index, fps)
        elif Path(out).suffix.lower() in STILLS:
            write_pictures(out, [draw_frame(source.frame(index), only_seen, width)])
        else:
            colors = class_colors(source.classes, ERROR_CLASSES)
            write_pictures(out, draw_frames(source, only_seen, width), fps, colors)
    finally:
        source.close()


def check_view(out: str | Path | None) -> None:
    """Before anything large is loaded: can it be shown?

    Args:
        out: As :func:`show` takes it.

    Raises:
        ConfigError: the page's library is missing, or the file's name ends in no known format.
        OutputExistsError: the file is there.
    """
    if out is None:
        import_viser()
    else:
        check_output(out)


def _serve(source: FrameSource, host: str, port: int, index: int, fps: float) -> None:
    page = ViewerPage(source, host, port, index, min(max(fps, 0.5), 10.0))
    sys.stdout.write(f"{source.name}: {len(source)} frames on {page.url} (Ctrl+C ends)\n")
    sys.stdout.flush()
    source.start(page.refresh)
    page.serve()
