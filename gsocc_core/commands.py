# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of ``gsocc_core``: each typed signature is one, its docstring is the help."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from gsocc_core.data.args import SURROUND_CAMERAS, DataArgs, DatasetName
from gsocc_core.training.args import OptimizerArgs, RunArgs

_OPTIMIZER, _RUN = OptimizerArgs(), RunArgs()


def synthesize(
    out: str,
    scenes: int = 1,
    seed: int = 0,
    image_scale: float = 1.0,
    sweeps: bool = True,
    duration_s: float = 20.0,
    version: str = "v1.0-synthetic",
    labels: bool = True,
    pseudo_labels: bool = True,
    val_scenes: int = 0,
    jobs: int | None = None,
    layout: Literal["nuscenes", "surroundocc", "kitti360"] = "nuscenes",
) -> None:
    """Write drives through procedural streets in the layout of a data set, with voxel labels.

    Args:
        out: Folder to make; it must not exist.
        scenes: Number of drives.
        seed: Chooses the drives; the same seed gives the same bytes.
        image_scale: Factor on the picture size of 1600x900, kitti360 1408x376.
        sweeps: Write the readings between key frames too.
        duration_s: Length of each drive, seconds; 20 s are 40 key frames.
        version: Name of the folder with the tables.
        labels: Write voxel labels: Occ3D's, kitti360 SSCBench's.
        pseudo_labels: Write depth and class pictures.
        val_scenes: The last so many drives form the split val, the others train.
        jobs: Drives written at the same time; None = one per core.
        layout: nuscenes; surroundocc = nuscenes with SurroundOcc labels beside Occ3D's; kitti360 = SSCBench-KITTI360.
    """
    from gsocc_core.data.synthetic.synthesize import synthesize as run

    run(out, scenes, seed, image_scale, sweeps, duration_s, version, labels, pseudo_labels, val_scenes, jobs, layout)


def train(
    out: str,
    method: str,
    model: dict[str, Any],
    data: DataArgs,
    channels: tuple[int, ...] | None = None,
    val_split: str | None = None,
    optimizer: OptimizerArgs = _OPTIMIZER,
    run: RunArgs = _RUN,
    resume: str | None = None,
    init: str | None = None,
    classes: str | None = None,
) -> None:
    """Train a method and leave a bundle.

    Args:
        out: Folder of the run: checkpoints, logs, bundle.
        method: Name of the method.
        model: Arguments of the method; without ``grid``, that of the data set.
        data: Training data; ``data.dataset`` chooses classes and grid.
        channels: Class id of each feature channel; None = all.
        val_split: Split for validation.
        optimizer: Optimiser and schedule.
        run: Length, hardware, logging.
        resume: auto, or a checkpoint file.
        init: Bundle whose weights a new run starts from, as far as they fit; classes are matched by name.
        classes: YAML class table of the labels; None = that of the data set.
    """
    from gsocc_core.training.train import train as start

    start(out, method, model, data, channels, val_split, optimizer, run, resume, init, classes)


def evaluate(
    bundle: str,
    dataroot: str,
    version: str = "v1.0-trainval",
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    occ3d_dir: str = "gts",
    out: str | None = None,
    limit: int | None = None,
    rays: bool | None = None,
    mask: Literal["camera", "lidar", "none"] | None = None,
    swap_pictures: bool = False,
    update_card: bool = False,
    device: str = "auto",
    velocities: bool = True,
    depth: bool = False,
    dataset: DatasetName = "occ3d",
    labels_dir: str | None = None,
    fraction: float = 1.0,
    fraction_seed: int = 0,
    absent: Literal["left_out", "counts_as_one"] = "left_out",
) -> None:
    """Score a bundle on voxel ground truth, with bootstrap intervals over scenes.

    Args:
        bundle: Bundle folder or hub id.
        dataroot: Folder with the data set.
        version: Name of the tables' folder of a nuScenes tree.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        occ3d_dir: Folder of Occ3D labels inside ``dataroot``.
        out: Write <out>.json and <out>.md; None = print only.
        limit: Score only so many key frames, evenly spread.
        rays: Compute RayIoU; None = for occ3d only.
        mask: Which voxels count; None = camera for occ3d, all labelled voxels for the others.
        swap_pictures: Control: show the model pictures of other drives.
        update_card: Put the scores into the bundle's model card.
        device: cpu, cuda or auto.
        velocities: Score velocities against the annotated boxes, if the model gives any.
        depth: Score the rendered depth at LiDAR points.
        dataset: Data set that the bundle was trained on: its layout, grid, classes and protocol.
        labels_dir: Folder of its voxel labels; None = the usual one.
        fraction: Part of the key frames, the same on every machine; 0.2 = the small mode.
        fraction_seed: Chooses them.
        absent: A class that is in no label is left out of the means, or counts as 1, as TPVFormer's and GaussRender's
            evaluators have it.
    """
    from gsocc_core import evaluation as ev
    from gsocc_core.data.build import protocol_of
    from gsocc_core.model_card import put_scores
    from gsocc_core.score_report import markdown, report

    data = ev.scoring_data(
        dataroot, version, split, scenes, occ3d_dir, velocities, dataset, labels_dir, fraction, fraction_seed
    )
    name = f"{Path(bundle).name}, swapped pictures" if swap_pictures else Path(bundle).name
    scores = ev.score_bundle(name, bundle, data, limit, rays, mask, swap_pictures, device, depth, absent)
    report([scores], out)
    if update_card:
        put_scores(
            bundle,
            f"On {protocol_of(dataset).title}, `{data.version}`, split `{split or 'all'}`:\n\n{markdown([scores])}",
        )


def baseline(
    kind: Literal["majority", "ground"],
    dataroot: str,
    version: str = "v1.0-trainval",
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    train_split: str = "train",
    train_dataroot: str | None = None,
    occ3d_dir: str = "gts",
    out: str | None = None,
    limit: int | None = None,
    rays: bool | None = None,
    mask: Literal["camera", "lidar", "none"] | None = None,
    dataset: DatasetName = "occ3d",
    labels_dir: str | None = None,
    fraction: float = 1.0,
    fraction_seed: int = 0,
    absent: Literal["left_out", "counts_as_one"] = "left_out",
) -> None:
    """Score a prediction that looks at no picture.

    Args:
        kind: ``majority`` = the most frequent label of each voxel in the training scenes where cameras see it;
            ``ground`` = driveable surface at the height of the wheels and nothing else.
        dataroot: Folder with the data set.
        version: Name of the tables' folder of a nuScenes tree.
        split: What to score on: a split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        train_split: Where ``majority`` counts.
        train_dataroot: Tree of that split; None = ``dataroot``.
        occ3d_dir: Folder of Occ3D labels inside ``dataroot``.
        out: Write <out>.json and <out>.md; None = print only.
        limit: Score only so many key frames, evenly spread.
        rays: Compute RayIoU; None = for occ3d only.
        mask: Which voxels count; None = camera for occ3d, all labelled voxels for the others.
        dataset: Data set: its layout, grid, classes and protocol.
        labels_dir: Folder of its voxel labels; None = the usual one.
        fraction: Part of the key frames, for counting too; 0.2 = the small mode.
        fraction_seed: Chooses them.
        absent: A class that is in no label is left out of the means, or counts as 1.
    """
    from gsocc_core import evaluation as ev
    from gsocc_core.score_report import report

    data = ev.scoring_data(
        dataroot, version, split, scenes, occ3d_dir, False, dataset, labels_dir, fraction, fraction_seed
    )
    report([ev.score_baseline(kind, data, train_split, train_dataroot, limit, rays, mask, absent)], out)


def predict(
    bundle: str,
    out: str,
    dataroot: str | None = None,
    version: str = "v1.0-trainval",
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    layout: Literal["gts", "tokens"] = "gts",
    images: str | None = None,
    rig: str | None = None,
    pictures: bool = False,
    gaussians: bool = False,
    limit: int | None = None,
    device: str = "auto",
    dataset: DatasetName = "occ3d",
) -> None:
    """Write predictions in the format of Occ3D, from a data set or from pictures of own cameras.

    With ``dataroot``, every key frame becomes ``<out>/<scene>/<token>/labels.npz`` with the array ``semantics``. With
    ``images`` and ``rig``, every set of pictures becomes ``<out>/<set>/labels.npz``.

    Args:
        bundle: Bundle folder or hub id.
        out: Folder to make; it must not exist.
        dataroot: Folder with the data set; needs no labels.
        version: Name of the tables' folder of a nuScenes tree.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        layout: gts = as Occ3D's labels; tokens = ``<out>/<token>.npz`` with ``arr_0``, which ray evaluators read.
        images: Folder with one picture <camera>.jpg|png per camera, or with one folder per camera.
        rig: Rig file with the cameras' calibration.
        pictures: Write a picture of cameras and voxels per set too (images).
        gaussians: Write the Gaussians as PLY and all as NPZ per set too (images).
        limit: Only the first so many key frames or sets.
        device: cpu, cuda or auto.
        dataset: Layout of ``dataroot``; the labels lie on the bundle's grid.
    """
    from gsocc_core.errors import ConfigError

    if (dataroot is None) == (images is None) or (images is None) != (rig is None):
        given = [k for k, v in (("dataroot", dataroot), ("images", images), ("rig", rig)) if v is not None]
        raise ConfigError("predict", "input", "--dataroot, or --images with --rig", " and ".join(given) or "neither")
    if images is not None and rig is not None:
        from gsocc_core.rig_predictions import predict_pictures
        from gsocc_core.rigs.rig_file import CameraRig

        loaded = CameraRig.load(rig)
        predict_pictures(
            bundle, images, loaded, out, pictures=pictures, gaussians=gaussians, limit=limit, device=device
        )
        return
    if pictures or gaussians:
        raise ConfigError("predict", "pictures, gaussians", "--images; `export` writes Gaussians of a tree", "dataroot")
    from gsocc_core import evaluation as ev
    from gsocc_core.prediction_files import write_predictions

    data = ev.scoring_data(str(dataroot), version, split, scenes, None, dataset=dataset)
    write_predictions(bundle, data, out, limit, device, layout)


def check_rig(
    rig: str,
    images: str | None = None,
    out: str | None = None,
    points: str | None = None,
    T_ego_lidar: tuple[float, ...] | None = None,
    picture_set: str | None = None,
    tile_width: int = 800,
) -> None:
    """Check a rig file and draw ground, horizon, neighbours and LiDAR points into its pictures.

    Ends with status 1 when a finding is an error.

    Args:
        rig: Rig file.
        images: Folder of pictures, as for predict; None = grey pictures.
        out: PNG to make; None = check only.
        points: Point cloud: .npy, .pcd, .bin (KITTI), .pcd.bin (nuScenes) or .ply.
        T_ego_lidar: Pose of the cloud's frame in the ego frame: x,y,z,qw,qx,qy,qz or a matrix row by row; None = the
            cloud is in the ego frame.
        picture_set: Which set of the folder; None = the first complete one.
        tile_width: Width of one camera in the picture, pixels.
    """
    from gsocc_core.rigs.check_picture import check_and_draw
    from gsocc_core.rigs.checks import table
    from gsocc_core.rigs.poses import pose_of
    from gsocc_core.rigs.rig_file import CameraRig

    pose = None if T_ego_lidar is None else pose_of(T_ego_lidar, "T_ego_lidar")
    findings = check_and_draw(CameraRig.load(rig), images, out, points, pose, picture_set, tile_width)
    print(table(findings))
    if any(finding.level == "error" for finding in findings):
        raise SystemExit(1)


def rig(
    source: Literal["kalibr", "nuscenes", "kitti", "kitti360"],
    calibration: str,
    out: str,
    T_ego_imu: tuple[float, ...] | None = None,
    T_ego_cam0: tuple[float, ...] | None = None,
    version: str = "v1.0-trainval",
    scene: str | None = None,
    size: tuple[int, int] | None = None,
    rectified: bool = True,
    cameras: tuple[str, ...] | None = None,
) -> None:
    """Write a rig file from the calibration of another tool or data set.

    Poses are x,y,z,qw,qx,qy,qz or the 12 or 16 numbers of a matrix, row by row.

    Args:
        source: Whose calibration it is.
        calibration: kalibr: camchain.yaml or camchain-imucam.yaml; nuscenes: dataroot; kitti: folder of a day of the
            raw data or a file of the object benchmark; kitti360: the calibration folder.
        out: Rig file to make.
        T_ego_imu: Pose of the IMU in base_link (kalibr with IMU, kitti, kitti360).
        T_ego_cam0: Pose of cam0's optical frame in base_link (kalibr).
        version: Name of the tables' folder (nuscenes).
        scene: Whose calibration; None = the first scene's (nuscenes).
        size: width,height of the pictures (object benchmark of KITTI).
        rectified: The pictures are rectified (kitti).
        cameras: Only these; None = all.
    """
    from gsocc_core.rigs.from_calibration import read_calibration
    from gsocc_core.rigs.poses import pose_of

    made, comment = read_calibration(
        source,
        calibration,
        T_ego_imu=None if T_ego_imu is None else pose_of(T_ego_imu, "T_ego_imu"),
        T_ego_cam0=None if T_ego_cam0 is None else pose_of(T_ego_cam0, "T_ego_cam0"),
        version=version,
        scene=scene,
        size=size,
        rectified=rectified,
        cameras=cameras,
    )
    made.save(out, comment)
    print(f"{comment}\n{out}: {', '.join(made.names)}. Look at it with `gsocc_core check-rig {out}`.")


def export(
    source: str,
    out: str,
    formats: tuple[Literal["ply", "npz", "occ3d"], ...] = ("ply", "npz"),
    dataroot: str | None = None,
    version: str = "v1.0-trainval",
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    limit: int | None = None,
    min_opacity: float = 0.0,
    features: bool = False,
    sh_degree: int | None = None,
    device: str = "auto",
) -> None:
    """Write Gaussians as PLY for 3D Gaussian splatting viewers, and scenes as NPZ.

    Args:
        source: A bundle (folder or hub id), which predicts ``dataroot``; or a scene.npz, which becomes one PLY.
        out: Folder to make, or the .ply file.
        formats: ply = gaussians.ply; npz = scene.npz with Gaussians, voxels and class table; occ3d = labels.npz.
        dataroot: Tree in nuScenes layout.
        version: Name of the tables' folder.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        limit: Only the first so many key frames.
        min_opacity: Fainter Gaussians are left out of the PLY.
        features: Append class logits to the PLY; viewers pass over them.
        sh_degree: Fill spherical harmonics up with zeros to this degree; INRIA's viewer wants 3.
        device: cpu, cuda or auto.
    """
    from gsocc_core.errors import ConfigError
    from gsocc_core.export import export_scene, export_tree

    if source.endswith(".npz"):
        export_scene(source, out, min_opacity=min_opacity, features=features, sh_degree=sh_degree)
        return
    if dataroot is None:
        raise ConfigError("export", "dataroot", "a tree for the bundle to predict, or a scene.npz as source", "none")
    from gsocc_core import evaluation as ev

    export_tree(
        source, ev.scoring_data(dataroot, version, split, scenes, None), out, formats,
        limit=limit, min_opacity=min_opacity, features=features, sh_degree=sh_degree, device=device,
    )  # fmt: skip


def bench(
    what: Literal["splat"],
    gaussians: tuple[int, ...] = (1800, 10_000, 25_600, 144_000),
    sigma: tuple[str, ...] = ("small", "mixed", "large"),
    one_per_voxel: bool = True,
    threads: int = 1,
    repeats: int = 5,
    device: str = "auto",
    baselines: str | None = None,
    images: bool = True,
    out: str | None = None,
) -> None:
    """Measure the operators on this machine: time, memory, share of what the machine could do.

    Args:
        what: ``splat`` = Gaussians to voxels, labels and pictures.
        gaussians: Numbers of Gaussians.
        sigma: Their sizes: small = U(0.05, 0.3) m, mixed = U(0.1, 1.5) m, large = U(1, 4) m.
        one_per_voxel: Measure the scene of a dense voxel model too, one Gaussian per voxel.
        threads: CPU threads.
        repeats: Calls of each case after one that does not count; the median is shown.
        device: cpu, cuda or auto.
        baselines: Python file with other procedures for the same table; it is executed like any script.
        images: Measure pictures too.
        out: JSON file to write.
    """
    from gsocc_core.bench.splat import run as splat

    {"splat": splat}[what](gaussians, sigma, one_per_voxel, threads, repeats, device, baselines, images, out)


def label_depth(
    dataroot: str,
    model: str,
    version: str = "v1.0-trainval",
    out: str | None = None,
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    cameras: tuple[str, ...] = SURROUND_CAMERAS,
    limit: int | None = None,
    size: tuple[int, int] | None = None,
    max_error: float = 0.0025,
    focal_px: float | None = None,
    batch_size: int = 6,
    workers: int = 4,
    precision: Literal["fp32", "bf16"] = "fp32",
    device: str = "auto",
    shard: str | None = None,
) -> None:
    """Write metric depth of every picture from Depth Anything V2, ZoeDepth or Depth Pro.

    Args:
        dataroot: Tree in nuScenes layout.
        model: Folder or hub id of the model.
        version: Name of the tables' folder.
        out: Folder of the labels, made or continued; None = depth_labels in ``dataroot``.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        cameras: Camera names.
        limit: Only the first so many key frames.
        size: Height,width of the labels, pixels; None = half the picture.
        max_error: Largest relative error that storing may add.
        focal_px: Focal length, in pixels of the model's input, that its depth supposes; None = take depth as it comes.
        batch_size: Pictures per call of the model.
        workers: Threads that decode, and as many that write.
        precision: bf16 = the model computes in bfloat16 where that is safe.
        device: cpu, cuda or auto.
        shard: i/n = part i of n, i = 0 ... n - 1; None = as torchrun, SLURM or Lightning says, else everything.
    """
    from gsocc_core.labels.run import LabelArgs
    from gsocc_core.labels.run import label_depth as run

    args = LabelArgs(
        dataroot, version, out, split, scenes, cameras, limit, size, batch_size, workers, precision, device, shard
    )
    run(args, model, max_error, focal_px)


def label_semantics(
    dataroot: str,
    prompts: str,
    detector: str,
    segmenter: str,
    version: str = "v1.0-trainval",
    out: str | None = None,
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    cameras: tuple[str, ...] = SURROUND_CAMERAS,
    limit: int | None = None,
    size: tuple[int, int] | None = None,
    mode: Literal["separate", "by_class", "combined"] = "separate",
    box_threshold: float = 0.2,
    text_threshold: float = 0.2,
    batch_size: int = 6,
    workers: int = 4,
    precision: Literal["fp32", "bf16"] = "fp32",
    device: str = "auto",
    shard: str | None = None,
) -> None:
    """Write classes of every picture, recognised from words by GroundingDINO and SAM or SAM 2.

    Args:
        dataroot: Tree in nuScenes layout.
        prompts: YAML file: class name -> phrases, such as config/labels/nuscenes_prompts.yaml.
        detector: Folder or hub id of a GroundingDINO.
        segmenter: Folder or hub id of a SAM or SAM 2.
        version: Name of the tables' folder.
        out: Folder of the labels, made or continued; None = semantics_labels in ``dataroot``.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        cameras: Camera names.
        limit: Only the first so many key frames.
        size: Height,width of the labels, pixels; None = half the picture.
        mode: separate = one pass per phrase; by_class = one per class; combined = one for all, fastest, finds least.
        box_threshold: Lowest score of a box.
        text_threshold: Lowest score of the phrase that names a box.
        batch_size: Pictures per call of the model.
        workers: Threads that decode, and as many that write.
        precision: bf16 = the model computes in bfloat16 where that is safe.
        device: cpu, cuda or auto.
        shard: i/n = part i of n, i = 0 ... n - 1; None = as torchrun, SLURM or Lightning says, else everything.
    """
    from gsocc_core.labels.run import LabelArgs
    from gsocc_core.labels.run import label_semantics as run

    args = LabelArgs(
        dataroot, version, out, split, scenes, cameras, limit, size, batch_size, workers, precision, device, shard
    )
    run(args, prompts, detector, segmenter, mode, box_threshold, text_threshold)


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
) -> None:
    """Show a drive with its predictions, or snapshots of the node, on a web page or as pictures.

    Args:
        source: Tree in nuScenes layout, a snapshot of the node, or a folder with snapshots.
        version: Name of the tables' folder.
        scene: Scene of the tree; None = the first.
        bundle: Bundle folder or hub id that predicts every key frame beside the page; None = none does.
        predictions: Folder that ``gsocc_core predict`` wrote, shown instead.
        occ3d_dir: Folder of Occ3D labels inside the tree; null = no ground truth.
        out: Write a picture (.png, .jpg) or film (.gif, .mp4) instead of opening a page.
        frame: Frame of the picture, or where the page begins; negative numbers count from the end.
        fps: Frames per second of films and of the play button.
        only_seen: Show predictions in pictures only where the cameras see.
        width: Width of pictures, pixels.
        host: Address that the page listens on; 0.0.0.0 = reachable from other machines.
        port: TCP port of the page; the next free one if it is taken.
        device: cpu, cuda or auto.
    """
    from gsocc_core.viewer.open_source import check_view, open_source, show

    check_view(out)
    found = open_source(source, version, scene, bundle, predictions, occ3d_dir, device)
    show(found, out, frame, host, port, fps, only_seen, width)


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
) -> None:
    """Draw predicted against true voxels as the cameras and one above see them, and score these pictures.

    Args:
        source: Tree in nuScenes layout, a snapshot of the node, or a folder with snapshots.
        out: Picture (.png, .jpg) of one frame, or film (.gif, .mp4) of all.
        version: Name of the tables' folder.
        scene: Scene of the tree; None = the first.
        bundle: Bundle folder or hub id that predicts every key frame.
        predictions: Folder that ``gsocc_core predict`` wrote, drawn instead.
        occ3d_dir: Folder of Occ3D labels inside the tree.
        frame: Frame of the picture; negative numbers count from the end.
        fps: Frames per second of films.
        blink: Film of one frame that shows prediction and truth in turn.
        only_seen: Leave out predictions where the cameras do not see.
        tile_width: Width of each camera's picture, pixels.
        device: cpu, cuda or auto.
    """
    from gsocc_core.viewer.camera_views import table, write_camera_views
    from gsocc_core.viewer.open_source import open_source

    found = open_source(source, version, scene, bundle, predictions, occ3d_dir, device)
    print(table(write_camera_views(found, out, frame, fps, blink, only_seen, tile_width)))


def doctor(bundle: str | None = None) -> None:
    """Say what this machine has, what is missing for what, and the command that mends it.

    Args:
        bundle: Model folder or hub id to try; None = the demo model of a checkout.
    """
    from gsocc_core.doctor import examine, table

    findings = examine(bundle)
    print(table(findings))
    if any(finding.state == "broken" for finding in findings):
        raise SystemExit(1)
