# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A tree in nuScenes layout with scenes of real size and rate, and noise for contents, to measure converters on.

Run: ``python benchmarks/scene_tree.py OUT [--scenes 2]``
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse import auto_cli
from PIL import Image

from gsocc_core.data.nuscenes_index import SURROUND_CAMERAS, TABLES
from gsocc_ros.messages.radar_messages import RADAR_POINT

VERSION = "v1.0-trainval"
#: Readings per second as in nuScenes, and every how many-th one is a key frame.
RATES = dict.fromkeys(SURROUND_CAMERAS, (12, 6)) | {"LIDAR_TOP": (20, 10)} | {
    f"RADAR_{place}": (12, 6) for place in ("FRONT", "FRONT_LEFT", "FRONT_RIGHT", "BACK_LEFT", "BACK_RIGHT")
}  # fmt: skip
BOXES, SECONDS, BEGIN_US = 35, 20, 1_500_000_000_000_000


def scene_tree(out: str, scenes: int = 2) -> None:
    """Write the tree; further scenes are links to the first one's files.

    Args:
        out: Folder to make.
        scenes: How many.
    """
    root, rng = Path(out), np.random.default_rng(0)
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    (root / "maps").mkdir(parents=True)
    Image.fromarray((rng.random((2000, 4000)) < 0.5).astype(np.uint8) * 255).save(root / "maps" / "map.png")
    names = [f"scene-{k + 1:04d}" for k in range(scenes)]
    logs = [f"log-{name}" for name in names]
    tables["map"].append({"token": "map", "log_tokens": logs, "category": "semantic_prior", "filename": "maps/map.png"})
    tables["category"].append({"token": "car", "name": "vehicle.car", "index": 17, "description": ""})
    tables["attribute"].append({"token": "moving", "name": "vehicle.moving", "description": ""})
    tables["visibility"].append({"token": "4", "level": "v80-100", "description": ""})
    for channel in RATES:
        modality = {"C": "camera", "L": "lidar", "R": "radar"}[channel[0]]
        tables["sensor"].append({"token": channel, "channel": channel, "modality": modality})
    for k, name in enumerate(names):
        _scene(root, tables, name, BEGIN_US + k * 100_000_000, names[0], rng)
    (root / VERSION).mkdir()
    for table, rows in tables.items():
        (root / VERSION / f"{table}.json").write_text(json.dumps(rows))


def _scene(root: Path, tables: dict[str, list[dict[str, Any]]], name: str, begin: int, first: str, rng: Any) -> None:
    samples = [f"{name}-{i}" for i in range(SECONDS * 2)]
    tables["log"].append({"token": f"log-{name}", "logfile": name, "vehicle": "n", "date_captured": "2026-01-01",
                          "location": "boston-seaport"})  # fmt: skip
    tables["scene"].append({"token": name, "name": name, "log_token": f"log-{name}", "nbr_samples": len(samples),
                            "first_sample_token": samples[0], "last_sample_token": samples[-1],
                            "description": ""})  # fmt: skip
    for i, sample in enumerate(samples):
        tables["sample"].append({"token": sample, "timestamp": begin + i * 500_000, "scene_token": name,
                                 **_neighbours(samples, i)})  # fmt: skip
        for box in range(BOXES):
            token = [f"{name}-box-{box}-{j}" for j in range(len(samples))]
            tables["sample_annotation"].append({
                "token": token[i], "sample_token": sample, "instance_token": f"{name}-{box}", "visibility_token": "4",
                "attribute_tokens": ["moving"], "translation": [100.0 + box + 0.5 * i, 60.0, 1.0],
                "size": [1.9, 4.5, 1.6], "rotation": [1.0, 0.0, 0.0, 0.0], "num_lidar_pts": 5, "num_radar_pts": 1,
                **_neighbours(token, i),
            })  # fmt: skip
    for box in range(BOXES):
        tables["instance"].append({"token": f"{name}-{box}", "category_token": "car", "nbr_annotations": len(samples),
                                   "first_annotation_token": f"{name}-box-{box}-0",
                                   "last_annotation_token": f"{name}-box-{box}-{len(samples) - 1}"})  # fmt: skip
    for channel, (rate, key_every) in RATES.items():
        _channel(root, tables, name, channel, begin, rate, key_every, first, rng)


def _channel(
    root: Path, tables: dict[str, list[dict[str, Any]]], name: str, channel: str, begin: int, rate: int,
    key_every: int, first: str, rng: Any,
) -> None:  # fmt: skip
    camera = channel.startswith("CAM")
    K = [[1266.0, 0.0, 816.0], [0.0, 1266.0, 491.0], [0.0, 0.0, 1.0]] if camera else []
    tables["calibrated_sensor"].append({"token": f"{name}-{channel}", "sensor_token": channel, "camera_intrinsic": K,
                                        "translation": [1.5, 0.0, 1.5],
                                        "rotation": [0.5, -0.5, 0.5, -0.5]})  # fmt: skip
    tokens = [f"{name}-{channel}-{i}" for i in range(rate * SECONDS)]
    offset = 1000 * list(RATES).index(channel) if channel != "LIDAR_TOP" else 0
    for i, token in enumerate(tokens):
        key, stamp = i % key_every == 0, begin + offset + i * 1_000_000 // rate
        suffix = "jpg" if camera else "pcd.bin" if channel == "LIDAR_TOP" else "pcd"
        file = f"{'samples' if key else 'sweeps'}/{channel}/{token}.{suffix}"
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        if name == first:
            (root / file).write_bytes(_content(channel, rng))
        else:
            os.link(root / file.replace(name, first), root / file)
        tables["ego_pose"].append({"token": token, "timestamp": stamp, "rotation": [1.0, 0.0, 0.0, 0.0],
                                   "translation": [100.0 + 5e-6 * (stamp - begin), 60.0, 0.0]})  # fmt: skip
        sample = min((i + key_every - 1) // key_every, SECONDS * 2 - 1)  # a sweep belongs to the next key frame
        tables["sample_data"].append({
            "token": token, "sample_token": f"{name}-{sample}", "ego_pose_token": token, "timestamp": stamp,
            "calibrated_sensor_token": f"{name}-{channel}", "filename": file, "is_key_frame": key,
            "fileformat": suffix, "height": 900 * camera, "width": 1600 * camera, **_neighbours(tokens, i),
        })  # fmt: skip


def _content(channel: str, rng: Any) -> bytes:
    """130 kB of a picture, 34,720 points, 125 radar returns; noise, because files do not compress either."""
    if channel.startswith("CAM"):
        return b"\xff\xd8\xff\xe0" + bytes(rng.bytes(130_000)) + b"\xff\xd9"
    if channel == "LIDAR_TOP":
        return bytes(rng.uniform(0, 31, (34_720, 5)).astype(np.float32).tobytes())
    names = RADAR_POINT.names or ()
    header = ["# .PCD v0.7 - Point Cloud Data file format", "VERSION 0.7", f"FIELDS {' '.join(names)}"]
    header += ["SIZE " + " ".join(str(RADAR_POINT[n].itemsize) for n in names)]
    header += ["TYPE " + " ".join("F" if RADAR_POINT[n].kind == "f" else "I" for n in names)]
    header += ["COUNT" + " 1" * len(names), "WIDTH 125", "HEIGHT 1", "VIEWPOINT 0 0 0 1 0 0 0", "POINTS 125"]
    points = np.zeros(125, np.dtype([(n, RADAR_POINT[n]) for n in names]))
    points["x"] = rng.uniform(0, 100, 125)
    return "\n".join([*header, "DATA binary", ""]).encode() + points.tobytes() + b"\n"


def _neighbours(tokens: list[str], i: int) -> dict[str, str]:
    return {"prev": tokens[i - 1] if i else "", "next": tokens[i + 1] if i + 1 < len(tokens) else ""}


if __name__ == "__main__":
    auto_cli(scene_tree)
