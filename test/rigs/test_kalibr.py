# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras of a Kalibr chain project as Kalibr's own formulas do."""

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gsocc_core.errors import ConfigError, DataError
from gsocc_core.rigs.coverage import project
from gsocc_core.rigs.kalibr import read_kalibr


def pose(rng, spread=0.3):
    T = np.eye(4)
    T[:3, :3] = Rotation.from_rotvec(rng.normal(0, spread, 3)).as_matrix()
    T[:3, 3] = rng.normal(0, spread, 3)
    return T


def kalibr_projection(entry, points):
    """The formulas of Kalibr's supported models, written anew: pinhole, then radtan or equidistant."""
    x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    k = entry["distortion_coeffs"]
    if entry["distortion_model"] == "radtan":
        r2 = x**2 + y**2
        radial = 1 + k[0] * r2 + k[1] * r2**2
        x, y = (x * radial + 2 * k[2] * x * y + k[3] * (r2 + 2 * x**2),
                y * radial + 2 * k[3] * x * y + k[2] * (r2 + 2 * y**2))  # fmt: skip
    else:
        r = np.hypot(x, y)
        t = np.arctan(r)
        scale = t * (1 + k[0] * t**2 + k[1] * t**4 + k[2] * t**6 + k[3] * t**8) / r
        x, y = x * scale, y * scale
    fu, fv, pu, pv = entry["intrinsics"]
    return np.stack([fu * x + pu, fv * y + pv], -1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_projection_is_that_of_the_chain(tmp_path_factory, seed, with_imu):
    rng = np.random.default_rng(seed)
    models = ["radtan", "equidistant", "radtan"]
    chain, T_cam_imu, T_c_imu = {}, [], pose(rng)
    for i, lens in enumerate(models):
        T_cn_cnm1 = pose(rng)
        T_c_imu = T_c_imu if i == 0 else T_cn_cnm1 @ T_c_imu
        T_cam_imu.append(T_c_imu)
        chain[f"cam{i}"] = {
            "camera_model": "pinhole", "distortion_model": lens, "rostopic": f"/cam{i}/image_raw",
            "intrinsics": rng.uniform(300, 500, 4).tolist(), "resolution": [752, 480],
            "distortion_coeffs": rng.normal(0, 0.01, 4).tolist(),
        }  # fmt: skip
        if i:
            chain[f"cam{i}"]["T_cn_cnm1"] = T_cn_cnm1.tolist()
        if with_imu:
            chain[f"cam{i}"] |= {"T_cam_imu": T_c_imu.tolist(), "timeshift_cam_imu": 0.004}
    path = tmp_path_factory.mktemp("kalibr") / "camchain.yaml"
    path.write_text(yaml.safe_dump(chain))
    T_ego_imu = pose(rng)
    if with_imu:
        rig = read_kalibr(path, T_ego_imu=T_ego_imu)
    else:
        rig = read_kalibr(path, T_ego_cam0=T_ego_imu @ np.linalg.inv(T_cam_imu[0]))
    assert rig.names == ("cam0", "cam1", "cam2")
    for i, camera in enumerate(rig.cameras):
        in_camera = np.column_stack([rng.uniform(-0.6, 0.6, (40, 2)), np.ones(40)]) * rng.uniform(0.5, 30, (40, 1))
        T_ego_cam = T_ego_imu @ np.linalg.inv(T_cam_imu[i])
        in_ego = in_camera @ T_ego_cam[:3, :3].T + T_ego_cam[:3, 3]
        expected = kalibr_projection(chain[f"cam{i}"], in_camera)
        assert np.abs(project(camera, in_ego)[0] - expected).max() < 1e-6


CAM0 = {"camera_model": "pinhole", "distortion_model": "radtan", "intrinsics": [400, 400, 320, 240],
        "distortion_coeffs": [0, 0, 0, 0], "resolution": [640, 480]}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "received"),
    [
        ({"camera_model": "omni", "intrinsics": [1, 400, 400, 320, 240]}, "omni-radtan"),
        ({"camera_model": "ds", "distortion_model": "none"}, "ds-none"),
        ({"camera_model": "eucm", "distortion_model": "none"}, "eucm-none"),
        ({"distortion_model": "fov"}, "pinhole-fov"),
        ({"distortion_model": {}}, "pinhole-{}"),
    ],
)
def test_models_without_a_counterpart_name_those_that_have_one(tmp_path, change, received):
    path = tmp_path / "camchain.yaml"
    path.write_text(yaml.safe_dump({"cam0": {**CAM0, **change}}))
    with pytest.raises(DataError, match=f"pinhole-radtan, pinhole-equi.*received {received}"):
        read_kalibr(path, T_ego_cam0=np.eye(4))


def test_the_pose_that_the_chain_needs_is_asked_for(tmp_path):
    path = tmp_path / "camchain.yaml"
    path.write_text(yaml.safe_dump({"cam0": CAM0}))
    for poses in ({}, {"T_ego_imu": np.eye(4)}, {"T_ego_imu": np.eye(4), "T_ego_cam0": np.eye(4)}):
        with pytest.raises(ConfigError, match="--T_ego_cam0, the pose of cam0's optical frame in base_link"):
            read_kalibr(path, **poses)
    path.write_text(yaml.safe_dump({"cam0": {**CAM0, "T_cam_imu": np.eye(4).tolist()}}))
    with pytest.raises(ConfigError, match="--T_ego_imu, the pose of the IMU in base_link"):
        read_kalibr(path)
    assert read_kalibr(path, T_ego_cam0=np.eye(4)).cameras[0].width == 640


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"cam0": {**CAM0, "intrinsics": [1, 2]}},
        {"cam0": {**CAM0, "resolution": None}},
        {"cam0": CAM0, "cam1": CAM0},
    ],
)
def test_damaged_chains_are_clear_errors(tmp_path, broken):
    path = tmp_path / "camchain.yaml"
    path.write_text(yaml.safe_dump(broken))
    with pytest.raises(DataError, match="cam"):
        read_kalibr(path, T_ego_cam0=np.eye(4))


def test_two_statements_of_a_pose_have_to_agree(tmp_path):
    """cam1 lies 5 cm to the right of cam0 by one, 5 cm to its left by the other."""
    T_cam0_imu = pose(np.random.default_rng(0))
    shift = np.eye(4)
    shift[0, 3] = -0.05
    chain = {"cam0": {**CAM0, "T_cam_imu": T_cam0_imu.tolist()},
             "cam1": {**CAM0, "T_cn_cnm1": shift.tolist(),
                      "T_cam_imu": (np.linalg.inv(shift) @ T_cam0_imu).tolist()}}  # fmt: skip
    path = tmp_path / "camchain.yaml"
    path.write_text(yaml.safe_dump(chain))
    told = (
        r"cam0 in cam1.*\(-0\.050, 0\.000, 0\.000\) m by T_cn_cnm1 and \(0\.050, 0\.000, 0\.000\) m by T_cam_imu, "
        r"0\.100 m and 0\.0 degrees apart"
    )
    for key in ("T_ego_imu", "T_ego_cam0"):
        with pytest.raises(DataError, match=told):
            read_kalibr(path, **{key: np.eye(4)})
    # Rounding is no contradiction.
    chain["cam1"]["T_cam_imu"] = (shift @ T_cam0_imu).round(4).tolist()
    path.write_text(yaml.safe_dump(chain))
    assert read_kalibr(path, T_ego_cam0=np.eye(4)).cameras[1].T_ego_cam[0, 3] == pytest.approx(0.05)


def test_the_imu_is_way_enough_from_camera_to_camera(tmp_path):
    """Chains with T_cam_imu alone, as data sets publish them; flat matrices; OpenCV's first line."""
    rng = np.random.default_rng(1)
    T_cam_imu, T_ego_imu = [pose(rng), pose(rng)], pose(rng)
    chain = {f"cam{n}": {**CAM0, "T_cam_imu": T.ravel().tolist()} for n, T in enumerate(T_cam_imu)}
    path = tmp_path / "camchain.yaml"
    path.write_text("%YAML:1.0\n\n" + yaml.safe_dump(chain))
    by_imu = read_kalibr(path, T_ego_imu=T_ego_imu)
    by_cam0 = read_kalibr(path, T_ego_cam0=T_ego_imu @ np.linalg.inv(T_cam_imu[0]))
    for n, T in enumerate(T_cam_imu):
        assert np.allclose(by_imu.cameras[n].T_ego_cam, T_ego_imu @ np.linalg.inv(T), atol=1e-12)
        assert np.allclose(by_cam0.cameras[n].T_ego_cam, by_imu.cameras[n].T_ego_cam, atol=1e-12)
    for broken in (np.zeros((4, 4)), np.diag([1.0, 1, -1, 1])):
        path.write_text(yaml.safe_dump({**chain, "cam1": {**CAM0, "T_cam_imu": broken.tolist()}}))
        with pytest.raises(DataError, match=r"cam1\.T_cam_imu: expected 4 rows of 4 numbers, a rigid transform"):
            read_kalibr(path, T_ego_imu=T_ego_imu)
