# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny DDAD tree in TRI's dgp layout, made by hand: no part of it comes from the package."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (64, 40)  # width, height
CAMERAS = ("CAMERA_01", "CAMERA_05", "CAMERA_06", "CAMERA_07", "CAMERA_08", "CAMERA_09")
#: Degrees to the left that they look.
HEADINGS = dict(zip(CAMERAS, (0, 60, -60, 120, -120, 180)))
#: Tenths of microseconds of the first cameras' trigger; the LiDAR's is 10 ms later, the next sample 100 ms.
FIRST, STEP, LIDAR_DELAY = 15616458249936530, 1_000_000, 100_000
FOCAL, CENTER = 40.0, (32.0, 20.0)
LIDAR_HEIGHT = 1.8
SPEED = 10.0  # m/s along the world's y axis
#: Points in the vehicle's frame: 21.6 m ahead on the front camera's axis, behind, and one without a camera (above).
POINTS = np.array([[21.6, 0.0, 1.4], [-20.0, 0.5, 1.0], [0.0, 0.0, 30.0], [150.0, 3.0, 2.0]])


def rotation_z(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    T = np.eye(4)
    T[:2, :2] = [[c, -s], [s, c]]
    return T


def T_ego_cam(camera):
    """1.6 m from the axle in the direction of its view, 1.4 m high."""
    T = np.array([[0.0, 0, 1, 1.6], [-1, 0, 0, 0], [0, -1, 0, 1.4], [0, 0, 0, 1]])
    return rotation_z(HEADINGS[camera]) @ T


def T_ego_lidar():
    T = np.eye(4)
    T[2, 3] = LIDAR_HEIGHT
    return T


def T_world_ego(count, scene=0):
    """Looks along the world's y axis."""
    T = rotation_z(90.0)
    T[:3, 3] = [100.0, 200.0 + 1000 * scene + SPEED * (count - FIRST) * 1e-7, 5.0]
    return T


def quaternion(R):
    """(w, x, y, z) by scipy, whose order is x, y, z, w."""
    from scipy.spatial.transform import Rotation

    return np.roll(Rotation.from_matrix(R).as_quat(), 1)


def pose(T):
    w, x, y, z = quaternion(T[:3, :3])
    moved = dict(zip("xyz", map(float, T[:3, 3])))
    return {"rotation": {"qw": w, "qx": x, "qy": y, "qz": z}, "translation": moved, "reference_coordinate_system": ""}


def stamp(count):
    """As the data set's JSON has it: tenths of microseconds read as microseconds."""
    return str(np.datetime64(count, "us")) + "Z"


def image_mask(camera):
    """The bonnet: the lowest ten rows of the front camera, the rightmost eight columns of the one behind."""
    mask = np.zeros(SIZE[::-1], np.uint8)
    if camera == "CAMERA_01":
        mask[30:] = 255
    if camera == "CAMERA_09":
        mask[:, 56:] = 255
    return mask


def write_ddad(root: Path, samples: int = 3) -> Path:
    """Scene 000000 for training and 000001 for validation; colours tell scene, sample and camera."""
    for number, name in enumerate(("000000", "000001")):
        _write_scene(root / name, number, samples)
        for camera in CAMERAS:
            folder = root / "mask" / camera / name
            folder.mkdir(parents=True)
            Image.fromarray(image_mask(camera)).convert("RGB").save(folder / "mask.png")
    splits = {"0": {"filenames": ["000000/scene_0abc.json"]}, "1": {"filenames": ["000001/scene_0abc.json"]}}
    (root / "ddad.json").write_text(json.dumps({"metadata": {"name": "DDAD"}, "scene_splits": splits}))
    return root


def _write_scene(folder, number, samples):
    (folder / "calibration").mkdir(parents=True)
    lens = {"fx": FOCAL, "fy": FOCAL, "cx": CENTER[0], "cy": CENTER[1], "skew": 0.0}
    content = {
        "names": ["LIDAR", *CAMERAS],
        "intrinsics": [dict.fromkeys(lens, 0.0), *[lens] * len(CAMERAS)],
        "extrinsics": [pose(T_ego_lidar()), *[pose(T_ego_cam(c)) for c in CAMERAS]],
    }
    (folder / "calibration" / "c0ffee.json").write_text(json.dumps(content))
    data, rows = [], []
    for index in range(samples):
        count = FIRST + index * STEP
        keys = []
        for name in ("LIDAR", *CAMERAS):
            own = count + LIDAR_DELAY if name == "LIDAR" else count
            keys.append(f"{name}-{index}")
            if name == "LIDAR":
                kind, file = "point_cloud", f"point_cloud/LIDAR/{own}.npz"
                T = T_world_ego(own, number) @ T_ego_lidar()
                more = {"point_format": ["X", "Y", "Z", "INTENSITY"]}
                points = np.c_[POINTS - [0, 0, LIDAR_HEIGHT], np.full(len(POINTS), 0.5)]
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                np.savez_compressed(folder / file, data=points)
            else:
                kind, file = "image", f"rgb/{name}/{own}.png"
                T = T_world_ego(own, number) @ T_ego_cam(name)
                more = {"width": SIZE[0], "height": SIZE[1], "channels": 3}
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                colour = (10 + 100 * number, 10 + 20 * index, 10 + 30 * CAMERAS.index(name))
                Image.new("RGB", SIZE, colour).save(folder / file)
            datum = {kind: {"filename": file, "pose": pose(T), "annotations": {}, **more}}
            identity = {"name": name, "timestamp": stamp(own), "index": "0", "log": ""}
            data.append({"id": identity, "key": keys[-1], "datum": datum, "next_key": "", "prev_key": ""})
        time = stamp(count + LIDAR_DELAY)
        rows.append({"id": {"timestamp": time}, "datum_keys": keys, "calibration_key": "c0ffee"})
    scene = {"name": "", "samples": rows, "data": data, "ontologies": {}}
    (folder / "scene_0abc.json").write_text(json.dumps(scene))


def write_info(root: Path, split: str = "train", samples: int = 3) -> dict:
    """What the authors' pickle holds of a split, as plain values, in a world that lies 7 m higher."""
    number = ("train", "val").index(split)
    content = {}
    counts = [FIRST + index * STEP for index in range(samples)]
    for index, count in enumerate(counts):
        around = [str(counts[i]) if 0 <= i < samples else -1 for i in (index - 1, index + 1)]
        sample = {"scene_name": f"{number:06d}", "context": around}
        for camera in CAMERAS:
            T = T_world_ego(count, number) @ T_ego_cam(camera)
            T[2, 3] += 7.0
            sample[camera] = {
                "intrinsics": [[FOCAL, 0, CENTER[0]], [0, FOCAL, CENTER[1]], [0, 0, 1]],
                "extrinsics": _quat_tvec(T_ego_cam(camera)), "pose": _quat_tvec(T),
            }  # fmt: skip
        content[str(count)] = sample
    return content


def _quat_tvec(T):
    return {"quat": quaternion(T[:3, :3]).tolist(), "tvec": T[:3, 3].tolist()}
