# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Commands around a model: train, score, predict, export, measure."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from gsocc_core.data.args import DataArgs, DatasetName
from gsocc_core.data.view_args import ViewArgs
from gsocc_core.training.args import OptimizerArgs, RunArgs

_OPTIMIZER, _RUN = OptimizerArgs(), RunArgs()


def train(
    out: str,
    method: str,
    model: dict[str, Any],
    data: DataArgs | ViewArgs,
    channels: tuple[int, ...] | None = None,
    val_split: str | None = None,
    optimizer: OptimizerArgs = _OPTIMIZER,
    run: RunArgs = _RUN,
    resume: str | None = None,
    init: str | None = None,
    classes: str | None = None,
    prompts: str | None = None,
    encoder: str = "wordllama",
) -> None:
    """Train a method and leave a bundle.

    Args:
        out: Folder of the run: checkpoints, logs, bundle.
        method: Name of the method.
        model: Arguments of the method; without ``grid``, that of the data set.
        data: Training data; ``data.dataset`` chooses classes and grid. Methods of unposed views have arguments of their
            own here, which ``train CONFIG --help`` lists for the method of a file.
        channels: Class id of each feature channel; None = all.
        val_split: Split for validation.
        optimizer: Optimiser and schedule.
        run: Length, hardware, logging.
        resume: auto, or a checkpoint file.
        init: Bundle whose weights a new run starts from, as far as they fit; classes are matched by name.
        classes: YAML class table of the labels; None = that of the data set.
        prompts: Words for the classes, of a method that is told them: a YAML file such as config/prompts/plain.yaml, or
            a .safetensors file that the command text wrote.
        encoder: Text encoder that embeds the words of a YAML file: wordllama, clip:MODEL or
            talk2dino:MODEL:PROJECTION.safetensors.
    """
    from lightning.pytorch.utilities import rank_zero_only

    from gsocc_core.methods.build import method_class
    from gsocc_core.methods.method import PoseMethod, ViewMethod
    from gsocc_core.training.train import train as start

    start(out, method, model, data, channels, val_split, optimizer, run, resume, init, classes, prompts, encoder)
    split = "" if val_split is None else f" --split {val_split}"
    kind = method_class(method, "train")
    command = {PoseMethod: "evaluate-poses", ViewMethod: "evaluate-views"}
    score = next((name for base, name in command.items() if issubclass(kind, base)), "evaluate")
    dataset = f" --dataset {data.dataset}" if isinstance(data, DataArgs) and data.dataset != "occ3d" else ""
    told = f"Score it with `gsocc_core {score} {out}/bundle --dataroot {data.dataroot}{dataset}{split}`."
    rank_zero_only(print)(f"{out}/bundle\n{told}")


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
    mask: Literal["camera", "lidar", "camera_and_lidar", "none"] | None = None,
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
    image_width: int | None = None,
    input_depth_dir: str | None = None,
    input_features_dir: str | None = None,
    masks_dir: str | None = None,
    remembered: int = 0,
) -> None:
    """Score a bundle on voxel ground truth, with bootstrap intervals over scenes; on ddad, which has none, on depth.

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
        mask: Which voxels count; None = camera for occ3d, all labelled voxels for the others. camera_and_lidar are
            those of OccNeRF's and GaussianOcc's scores.
        swap_pictures: Control: show the model pictures of other drives.
        update_card: Put the scores into the bundle's model card.
        device: cpu, cuda or auto.
        velocities: Score velocities against the annotated boxes, if the model gives any.
        depth: Score the rendered depth at LiDAR points, of all and of each camera.
        dataset: Data set that the bundle was trained on: its layout, grid, classes and protocol.
        labels_dir: Folder of its voxel labels; None = the usual one.
        fraction: Part of the key frames, the same on every machine; 0.2 = the small mode.
        fraction_seed: Chooses them.
        absent: A class that is in no label is left out of the means, or counts as 1, as TPVFormer's and GaussRender's
            evaluators have it.
        image_width: Score also what the cameras, and one above, would see of the voxels: mIoU, IoU and depth in
            pictures of this width, px; None = leave it.
        input_depth_dir: Folder of depth in ``dataroot`` that the model gets beside the pictures; None = none.
        input_features_dir: Folder of features likewise; None = none.
        masks_dir: Folder of ddad's self-occlusion masks in ``dataroot``: LiDAR points on the own vehicle do not count;
            None = all count, as in the published scores.
        remembered: Score also the voxels that are hidden now and were seen in one of so many earlier key frames: what a
            memory is good for. What moves is left out.
    """
    from gsocc_core.data.build import protocol_of
    from gsocc_core.evaluation.report import markdown, report
    from gsocc_core.evaluation.score import score_bundle, scoring_data
    from gsocc_core.inference.model_card import put_scores

    data = scoring_data(
        dataroot, version, split, scenes, occ3d_dir, velocities, dataset, labels_dir, fraction, fraction_seed,
        input_depth_dir,
        input_features_dir, masks_dir, remembered,
    )  # fmt: skip
    name = f"{Path(bundle).name}, swapped pictures" if swap_pictures else Path(bundle).name
    scores = score_bundle(name, bundle, data, limit, rays, mask, swap_pictures, device, depth, absent, image_width)
    report([scores], out)
    if update_card:
        put_scores(
            bundle,
            f"On {protocol_of(data).title}, `{data.version}`, split `{split or 'all'}`:\n\n{markdown([scores])}",
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
    mask: Literal["camera", "lidar", "camera_and_lidar", "none"] | None = None,
    dataset: DatasetName = "occ3d",
    labels_dir: str | None = None,
    fraction: float = 1.0,
    fraction_seed: int = 0,
    absent: Literal["left_out", "counts_as_one"] = "left_out",
    depth: bool = False,
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
        depth: Score also the depth, constant for every pixel, that has the least mean relative error at the training
            scenes' LiDAR points.
    """
    from gsocc_core.evaluation.report import report
    from gsocc_core.evaluation.score import score_baseline, scoring_data

    data = scoring_data(
        dataroot, version, split, scenes, occ3d_dir, False, dataset, labels_dir, fraction, fraction_seed
    )
    report([score_baseline(kind, data, train_split, train_dataroot, limit, rays, mask, absent, depth)], out)


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
    snapshots: bool = False,
    limit: int | None = None,
    device: str = "auto",
    dataset: DatasetName = "occ3d",
    input_depth_dir: str | None = None,
    input_features_dir: str | None = None,
    depth_dir: str | None = None,
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
        images: Folder with one picture <camera>.jpg (png, bmp, tif, webp) per camera, or with one folder per camera.
        rig: Rig file with the cameras' calibration.
        pictures: Write a picture of cameras and voxels per set too (images).
        gaussians: Write the Gaussians as PLY and all as NPZ per set too (images).
        snapshots: Make every set a snapshot too, pictures included, so that `view OUT` shows them (images).
        limit: Only the first so many key frames or sets.
        device: cpu, cuda or auto.
        dataset: Layout of ``dataroot``; the bundle must have its grid and as many classes.
        input_depth_dir: Folder of depth in ``dataroot`` that the model gets beside the pictures; None = none.
        input_features_dir: Folder of features likewise; None = none.
        depth_dir: Folder with the depth of own pictures, laid out and named as they are (images): grey PNG files of 16
            bits in millimetres, as RGB-D cameras write, or .npy arrays in metres; None = none.
    """
    from gsocc_core.commands.inputs import check_inputs
    from gsocc_core.errors import ConfigError

    source = check_inputs("predict", dataroot, images, rig, input_depth_dir, input_features_dir, depth_dir)
    if source == "images":
        from gsocc_core.export.rig_predictions import predict_pictures
        from gsocc_core.rigs.rig_file import CameraRig

        loaded = CameraRig.load(str(rig))
        more = {"pictures": pictures, "gaussians": gaussians, "snapshots": snapshots}
        predict_pictures(bundle, str(images), loaded, out, **more, limit=limit, device=device, depth_dir=depth_dir)
        print(f"{out}: look at it with `gsocc_core view {out}`" if snapshots else out)
        return
    if pictures or gaussians or snapshots:
        expected = "--images; `export` writes Gaussians of a tree, `view` shows it"
        raise ConfigError("predict", "pictures, gaussians, snapshots", expected, "dataroot")
    from gsocc_core.evaluation.score import scoring_data
    from gsocc_core.export.prediction_files import write_predictions

    data = scoring_data(
        str(dataroot),
        version,
        split,
        scenes,
        None,
        dataset=dataset,
        input_depth_dir=input_depth_dir,
        input_features_dir=input_features_dir,
    )
    write_predictions(bundle, data, out, limit, device, layout)
    print(out)


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
    dataset: DatasetName = "occ3d",
    input_depth_dir: str | None = None,
    input_features_dir: str | None = None,
) -> None:
    """Write Gaussians as PLY for 3D Gaussian splatting viewers, and scenes as NPZ.

    Args:
        source: A bundle (folder or hub id), which predicts ``dataroot``; or a scene.npz, which becomes one PLY.
        out: Folder to make, or the .ply file.
        formats: ply = gaussians.ply; npz = scene.npz with Gaussians, voxels and class table; occ3d = labels.npz.
        dataroot: Folder with the data set; needs no labels.
        version: Name of the tables' folder of a nuScenes tree.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        limit: Only the first so many key frames.
        min_opacity: Fainter Gaussians are left out of the PLY.
        features: Append class logits to the PLY; viewers pass over them.
        sh_degree: Fill spherical harmonics up with zeros to this degree; INRIA's viewer wants 3.
        device: cpu, cuda or auto.
        dataset: Layout of ``dataroot``; the voxels lie on the bundle's grid and have its classes, which must be the
            data set's for occ3d.
        input_depth_dir: Folder of depth in ``dataroot`` that the model gets beside the pictures; None = none.
        input_features_dir: Folder of features likewise; None = none.
    """
    from gsocc_core.errors import ConfigError
    from gsocc_core.export.formats import export_scene, export_tree

    if source.endswith(".npz"):
        export_scene(source, out, min_opacity=min_opacity, features=features, sh_degree=sh_degree)
        print(out)
        return
    if dataroot is None:
        raise ConfigError("export", "dataroot", "a data set to predict, or a scene.npz as source", "none")
    from gsocc_core.evaluation.score import scoring_data

    data = scoring_data(
        dataroot,
        version,
        split,
        scenes,
        None,
        dataset=dataset,
        input_depth_dir=input_depth_dir,
        input_features_dir=input_features_dir,
    )
    export_tree(
        source, data, out, formats, limit=limit,
        min_opacity=min_opacity, features=features, sh_degree=sh_degree, device=device,
    )  # fmt: skip
    print(out)


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
