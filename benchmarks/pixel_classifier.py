# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How much of the synthetic streets' classes a pixel gives away by its colour and its place in the picture alone.

A gradient-boosted classifier sees RGB, normalised row and normalised column of single pixels. If it did well on
streets it never saw, colours would be labels in disguise and a network could learn the world without looking at shapes.
In the plain world they are meant to be: there it must do well.

Run: ``python benchmarks/pixel_classifier.py [--world plain] [--train_scenes 12] [--test_scenes 8]``
"""

from __future__ import annotations

import numpy as np
from jsonargparse import auto_cli

from gsocc_core.synthetic.render.camera import render_camera
from gsocc_core.synthetic.sensors.rig import make_rig, small_rig
from gsocc_core.synthetic.world.plain import build_plain
from gsocc_core.synthetic.world.scene import SKY
from gsocc_core.synthetic.world.street import build_street
from gsocc_core.synthetic.write.meanings import WORLDS, World


def sample_pixels(
    seeds: range, per_class_and_view: int, world: World = "detailed", shots: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Draw pixels of every class from pictures of some streets.

    Args:
        seeds: One street each.
        per_class_and_view: Greatest number of pixels of one class from one picture.
        world: Which world.
        shots: Times per street; all six cameras take a picture at each.

    Returns:
        (N, 5) float32 red, green, blue, row and column, all 0 ... 1, and (N,) uint8 class ids without sky.
    """
    features, labels = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        if world == "plain":
            scene, rig = build_plain(seed, 20.0), small_rig(rng)
        else:
            scene, rig = build_street(seed, 20.0), make_rig(rng, 0.25)
        for t_s in rng.uniform(0.0, 20.0, shots):
            for camera in rig.cameras:
                pose = scene.T_world_ego(t_s) @ camera.T_ego_cam
                view = render_camera(scene, float(t_s), camera.intrinsics, pose, camera.width, camera.height)
                for class_id in np.unique(view.class_ids[view.class_ids != SKY]):
                    row, column = np.nonzero(view.class_ids == class_id)
                    chosen = rng.permutation(len(row))[:per_class_and_view]
                    row, column = row[chosen], column[chosen]
                    place = np.stack([row / camera.height, column / camera.width], axis=1)
                    features.append(np.concatenate([view.rgb[row, column] / 255.0, place], axis=1))
                    labels.append(np.full(len(row), class_id, np.uint8))
    return np.concatenate(features).astype(np.float32), np.concatenate(labels)


def class_recalls(
    train_scenes: int = 12,
    test_scenes: int = 8,
    first_seed: int = 50_000,
    per_class_and_view: int = 150,
    world: World = "detailed",
) -> np.ndarray:
    """Train on some streets, test on others.

    Args:
        train_scenes: Streets to train on.
        test_scenes: Other streets to test on.
        first_seed: Seed of the first street.
        per_class_and_view: Greatest number of pixels of one class from one picture, so that rare classes count.
        world: Which world.

    Returns:
        (classes,) share of each class's held-out pixels that are recognised; nan = class absent.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    seeds = range(first_seed, first_seed + train_scenes + test_scenes)
    x, y = sample_pixels(seeds[:train_scenes], per_class_and_view, world)
    x_test, y_test = sample_pixels(seeds[train_scenes:], per_class_and_view, world)
    model = HistGradientBoostingClassifier(max_iter=120, class_weight="balanced", random_state=0).fit(x, y)
    right = model.predict(x_test) == y_test
    count = len(WORLDS[world].classes.names)
    return np.array([right[y_test == k].mean() if (y_test == k).any() else np.nan for k in range(count)])


def main(train_scenes: int = 12, test_scenes: int = 8, first_seed: int = 50_000, world: World = "detailed") -> None:
    """Print the recall of every class and their mean.

    Args:
        train_scenes: Streets to train on.
        test_scenes: Other streets to test on.
        first_seed: Seed of the first street.
        world: Which world.
    """
    recalls = class_recalls(train_scenes, test_scenes, first_seed, world=world)
    for name, recall in zip(WORLDS[world].classes.names, recalls):
        if np.isfinite(recall):
            print(f"{name:22s} {100 * recall:5.1f} %")
    bar = "at least 85 %" if world == "plain" else "at most 40 %"
    print(f"{'mean class accuracy':22s} {100 * np.nanmean(recalls):5.1f} %  (bar: {bar})")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
