# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Commands around words."""

from __future__ import annotations

from gsocc_core.data.args import DatasetName


def text(
    words: tuple[str, ...] = (),
    prompts: str | None = None,
    classes: str | None = None,
    encoder: str = "wordllama",
    out: str | None = None,
) -> None:
    """Show which words a text encoder holds for alike, or embed the words of classes.

    With words, the nearest of each are printed: among the others, or among the class prompts of ``prompts``. With
    ``out``, class prompts are written: those of ``prompts``, or each word as a class of its own name.

    Args:
        words: Phrases to compare: `text automobile car "traffic cone"`.
        prompts: Class prompts: a YAML file such as config/prompts/plain.yaml, or a .safetensors file of this command.
        classes: YAML class table that the names of classes must be in, such as gts/classes.yaml of a tree or the
            classes.yaml of a bundle; None = they are checked where the prompts are used.
        encoder: wordllama, clip:MODEL or talk2dino:MODEL:PROJECTION.safetensors, where MODEL is a folder or hub id.
        out: File of class prompts to write, such as prompts.safetensors.
    """
    from gsocc_core.errors import ConfigError
    from gsocc_core.geometry.classes import ClassTable
    from gsocc_core.text.class_prompts import embed_words, load_class_prompts
    from gsocc_core.text.compare import nearest_words
    from gsocc_core.text.encoder import load_text_encoder

    if not words and (prompts is None or out is None):
        raise ConfigError("text", "words", "words to compare, or --prompts with --out", "neither")
    if words and prompts is not None and out is not None:
        raise ConfigError("text", "out", "null, where words are compared with prompts", out)
    table = None if classes is None else ClassTable.from_yaml(classes)
    found = None if prompts is None else load_class_prompts(prompts, table, encoder)
    if out is None:
        print(nearest_words(words, load_text_encoder(encoder), found))
        return
    made = found or embed_words(words, load_text_encoder(encoder))
    if table is not None:
        made.class_ids(table)
    made.save(out)
    print(f"{out}: {made.described()}")


def query(
    bundle: str,
    words: tuple[str, ...],
    out: str = "query",
    negatives: tuple[str, ...] = (),
    threshold: float = 0.5,
    dataroot: str | None = None,
    version: str = "v1.0-trainval",
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    images: str | None = None,
    rig: str | None = None,
    frame: int = 0,
    device: str = "auto",
    dataset: DatasetName = "occ3d",
    input_depth_dir: str | None = None,
    input_features_dir: str | None = None,
    depth_dir: str | None = None,
    text_encoder: str | None = None,
) -> None:
    """Show where a model finds any words.

    `query BUNDLE "garden chair" dog --dataroot TREE` predicts one key frame of a data set and asks it; ``images`` with
    ``rig`` is for one set of own pictures; a folder of `reconstruct` in place of the bundle is asked as it is. The
    folder ``out`` gets ``picture.png`` (the voxels of each word lit up in the cameras, from behind and from above),
    ``scores.npz`` (scores, grid and words) and a point cloud ``00_<word>.ply`` per word. A table tells each word's best
    score, its voxels from the threshold on, and the distance of the nearest.

    Args:
        bundle: Bundle folder or hub id of a model whose scenes are aligned with words, such as GaussTR, or a
            folder that `reconstruct` wrote.
        words: What to look for, 1 ... 64 words or phrases.
        out: Folder to make; it must not exist.
        negatives: Words that compete with them, at most 64; none = the class prompts of the bundle.
        threshold: Score from which on a voxel counts, above 0, up to 1.
        dataroot: Folder with the data set; needs no labels.
        version: Name of the tables' folder of a nuScenes tree.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        images: Folder with one picture <camera>.jpg|png per camera, or with one folder per camera.
        rig: Rig file with the cameras' calibration.
        frame: Number of the key frame or set, from 0; negative numbers count from the end.
        device: cpu, cuda or auto.
        dataset: Layout of ``dataroot``.
        input_depth_dir: Folder of depth in ``dataroot`` that the model gets beside the pictures; None = none.
        input_features_dir: Folder of features likewise; None = none.
        depth_dir: Folder with the depth of own pictures, as `predict` takes it (images); None = none.
        text_encoder: What embeds the words: wordllama, clip:MODEL or talk2dino:MODEL:PROJECTION.safetensors; None = the
            encoder that the bundle names, whose files may lie elsewhere on this machine.
    """
    from pathlib import Path

    from gsocc_core.commands.inputs import check_inputs
    from gsocc_core.export.query_files import Question, query_drive, query_pictures, query_scene
    from gsocc_core.export.scene_words import FILE
    from gsocc_core.inference.found import summary_table

    question = Question(words, Path(out), negatives, threshold, frame, text_encoder)
    if (Path(bundle) / FILE).is_file() and dataroot is None and images is None:
        print(f"{summary_table(query_scene(bundle, question), threshold)}\n{out}")
        return
    source = check_inputs("query", dataroot, images, rig, input_depth_dir, input_features_dir, depth_dir)
    if source == "images":
        from gsocc_core.rigs.rig_file import CameraRig

        found = query_pictures(bundle, str(images), CameraRig.load(str(rig)), question, depth_dir, device)
    else:
        from gsocc_core.evaluation.score import scoring_data

        data = scoring_data(
            str(dataroot), version, split, scenes, None, dataset=dataset, input_depth_dir=input_depth_dir,
            input_features_dir=input_features_dir,
        )  # fmt: skip
        found = query_drive(bundle, data, question, device)
    print(f"{summary_table(found, threshold)}\n{out}")
