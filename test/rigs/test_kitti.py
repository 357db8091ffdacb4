# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras of KITTI and KITTI-360 project as the data sets' papers and development kits say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gsocc_core.errors import ConfigError, DataError
from gsocc_core.rigs.coverage import project
from gsocc_core.rigs.kitti import read_kitti, read_kitti360

VELO_TO_CAM = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])


def turn(rng, spread=0.02):
    return Rotation.from_rotvec(rng.normal(0, spread, 3)).as_matrix()


def line(key, values):
    return f"{key}: " + " ".join(f"{v:.12e}" for v in np.ravel(values)) + "\n"


def affine(R, t):
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, t
    return T


class Day:
    """The calibration of a day of raw data, with random small rotations."""

    def __init__(self, folder, seed):
        rng = np.random.default_rng(seed)
        self.velo_R, self.velo_t = VELO_TO_CAM @ turn(rng), rng.normal(0, 0.3, 3)
        self.imu_R, self.imu_t = turn(rng), np.array([-0.81, 0.32, -0.80])
        self.R_rect = turn(rng)  # of camera 0; rectified cameras look the same way
        self.P, self.K, self.D, self.R, self.T = [], [], [], [], []
        text = "calib_time: 09-Jan-2012 13:57:47\ncorner_dist: 9.950000e-02\n"
        for n in range(4):
            f, cx, cy = rng.uniform(700, 730), rng.uniform(590, 620), rng.uniform(170, 190)
            self.R.append(turn(rng) if n else np.eye(3))
            self.T.append(rng.normal(0, 0.3, 3) if n else np.zeros(3))
            R_rect = self.R_rect @ self.R[n].T
            shift = R_rect @ self.T[n] + rng.normal(0, 0.0005, 3) * bool(n)  # the fit of two calibrations
            self.P.append(np.array([[f, 0, cx], [0, f, cy], [0, 0, 1]]) @ np.column_stack([np.eye(3), shift]))
            self.K.append(np.array([[f + 200, 0, cx], [0, f + 210, cy], [0, 0, 1]]))
            self.D.append(rng.normal(0, [0.1, 0.05, 0.001, 0.001, 0.01]))
            text += line(f"S_0{n}", [1392, 512]) + line(f"K_0{n}", self.K[n]) + line(f"D_0{n}", self.D[n])
            text += line(f"R_0{n}", self.R[n]) + line(f"T_0{n}", self.T[n]) + line(f"S_rect_0{n}", [1242, 375])
            text += line(f"R_rect_0{n}", R_rect) + line(f"P_rect_0{n}", self.P[n])
        (folder / "calib_cam_to_cam.txt").write_text(text)
        velo = "calib_time: 15-Mar-2012 11:37:16\n" + line("R", self.velo_R) + line("T", self.velo_t)
        (folder / "calib_velo_to_cam.txt").write_text(velo + line("delta_f", [0, 0]))
        (folder / "calib_imu_to_velo.txt").write_text(line("R", self.imu_R) + line("T", self.imu_t))
        self.points_velo = rng.uniform([6, -2, -1.5], [40, 2, 1], (50, 3))

    def points_imu(self):
        return (self.points_velo - self.imu_t) @ self.imu_R  # inverse of R x + t


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_raw_data_projects_as_its_readme_says(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("kitti")
    day = Day(folder, seed)
    T_ego_imu = affine(turn(np.random.default_rng(seed + 1)), [1.0, 0.2, 0.93])
    in_ego = day.points_imu() @ T_ego_imu[:3, :3].T + T_ego_imu[:3, 3]
    found = read_kitti(folder, T_ego_imu)
    rectified, T_ego_velo = found.rig, found.T_ego_velo
    assert np.allclose(day.points_velo @ T_ego_velo[:3, :3].T + T_ego_velo[:3, 3], in_ego)
    in_cam0 = day.points_velo @ day.velo_R.T + day.velo_t
    for n, camera in enumerate(rectified.cameras):
        y = (day.P[n] @ np.column_stack([in_cam0 @ day.R_rect.T, np.ones(50)]).T).T  # P_rect R_rect Tr x
        assert np.abs(project(camera, in_ego)[0] - y[:, :2] / y[:, 2:]).max() < 1e-6
        assert (camera.width, camera.height, camera.distortion) == (1242, 375, None)
    raw = read_kitti(folder, T_ego_imu, rectified=False).rig
    for n, camera in enumerate(raw.cameras):
        x, y, z = (in_cam0 @ day.R[n].T + day.T[n]).T
        x, y, k = x / z, y / z, day.D[n]
        r2 = x * x + y * y
        radial = 1 + k[0] * r2 + k[1] * r2**2 + k[4] * r2**3
        u = x * radial + 2 * k[2] * x * y + k[3] * (r2 + 2 * x * x)
        v = y * radial + k[2] * (r2 + 2 * y * y) + 2 * k[3] * x * y
        expected = np.stack([u, v, np.ones(50)], -1) @ day.K[n].T
        assert np.abs(project(camera, in_ego)[0] - expected[:, :2]).max() < 1e-6
        assert camera.width == 1392


def test_two_statements_of_a_baseline_have_to_agree(tmp_path):
    day = Day(tmp_path, 4)
    path = tmp_path / "calib_cam_to_cam.txt"
    text = path.read_text()
    path.write_text(text.replace(line("T_02", day.T[2]), line("T_02", day.T[2] + [0.1, 0, 0])))
    told = r"00 in camera 02.* m by P_rect_02 and .* m by R_rect_02, R_02, T_02, 0\.100 m and 0\.0 degrees apart"
    for rectified in (True, False):
        with pytest.raises(DataError, match=told):
            read_kitti(tmp_path, rectified=rectified)
    path.write_text(text.replace(line("R_02", day.R[2]), line("R_02", turn(np.random.default_rng(9), 0.1) @ day.R[2])))
    with pytest.raises(DataError, match=r"0\.000 m and 10\.6 degrees apart"):
        read_kitti(tmp_path)
    # Without the raw camera's pose nothing is stated twice.
    path.write_text("".join(row + "\n" for row in text.splitlines() if not row.startswith(("R_0", "T_0"))))
    assert len(read_kitti(tmp_path).rig.cameras) == 4


@pytest.mark.parametrize(
    ("key", "values", "told"),
    [
        ("Tr_velo_to_cam", np.ones(12), "Tr_velo_to_cam: expected a rigid transform, received .* not orthonormal"),
        ("Tr_imu_to_velo", np.diag([1.0, 1, -1, 1])[:3], "Tr_imu_to_velo: expected a rigid transform, .* mirrors"),
        ("R0_rect", np.full(9, np.nan), "R0_rect: expected 9 numbers"),
        ("P2", np.ones(12), "P2: expected a projection: focal lengths above 0"),
    ],
)
def test_entries_that_describe_no_camera_are_named(tmp_path, key, values, told):
    day, path = Day(tmp_path, 5), tmp_path / "000000.txt"
    entries = {f"P{n}": day.P[n] for n in range(4)} | {"R0_rect": day.R_rect}
    entries["Tr_velo_to_cam"] = np.column_stack([day.velo_R, day.velo_t])
    entries["Tr_imu_to_velo"] = np.column_stack([day.imu_R, day.imu_t])
    path.write_text("".join(line(name, numbers) for name, numbers in {**entries, key: values}.items()))
    with pytest.raises(DataError, match=told):
        read_kitti(path, size=(1242, 375))


def test_odometry_files_lead_to_the_velodyne(tmp_path):
    """calib.txt: P0 ... P3 of the rectified cameras, and the Velodyne's pose Tr in camera 0."""
    day, path = Day(tmp_path, 6), tmp_path / "calib.txt"
    Tr = np.column_stack([day.R_rect @ day.velo_R, day.R_rect @ day.velo_t])
    projections = "".join(line(f"P{n}", day.P[n]) for n in range(4))
    path.write_text(projections + line("Tr", Tr))
    found = read_kitti(path, size=(1241, 376))
    np.testing.assert_allclose(found.T_ego_velo, affine(np.eye(3), [0, 0, 1.73]))
    assert found.ego == "The ego frame is the Velodyne's, 1.73 m lower: on the road."
    T_ego_cam0 = affine(VELO_TO_CAM.T, [0.3, 0, 1.65])
    placed = read_kitti(path, size=(1241, 376), T_ego_cam0=T_ego_cam0)
    np.testing.assert_allclose(placed.T_ego_velo, T_ego_cam0 @ affine(Tr[:, :3], Tr[:, 3]), atol=1e-12)
    for one in (found, placed):
        in_ego = day.points_velo @ one.T_ego_velo[:3, :3].T + one.T_ego_velo[:3, 3]
        in_cam0 = day.points_velo @ Tr[:, :3].T + Tr[:, 3]
        for n, camera in enumerate(one.rig.cameras):
            y = (day.P[n] @ np.column_stack([in_cam0, np.ones(50)]).T).T
            assert np.abs(project(camera, in_ego)[0] - y[:, :2] / y[:, 2:]).max() < 1e-6
    with pytest.raises(ConfigError, match="expected --T_ego_cam0, .* holds no pose of the IMU, received --T_ego_imu"):
        read_kitti(path, np.eye(4), size=(1241, 376))
    path.write_text(projections)  # as the first edition has it
    assert read_kitti(path, size=(1241, 376), T_ego_cam0=T_ego_cam0).T_ego_velo is None
    with pytest.raises(ConfigError, match="expected --T_ego_cam0, .* holds no pose of a LiDAR, received none"):
        read_kitti(path, size=(1241, 376))


def test_matrices_of_zeros_count_as_not_there(tmp_path):
    """As tools write files of the object benchmark for one camera without LiDAR and IMU."""
    zeros = "".join(line(key, np.zeros(12)) for key in ("P0", "P1", "P3", "Tr_velo_to_cam", "Tr_imu_to_velo"))
    P2 = [3395.9, 0, 2320, 0, 0, 3395.9, 1736, 0, 0, 0, 1, 0]
    path = tmp_path / "000000.txt"
    path.write_text(zeros + line("P2", P2) + line("R0_rect", np.eye(3)))
    T_ego_cam0 = affine(VELO_TO_CAM.T, [0, 0, 1.5])
    found = read_kitti(path, size=(4640, 3472), T_ego_cam0=T_ego_cam0)
    (camera,) = found.rig.cameras
    assert (camera.name, camera.intrinsics[1, 2], found.T_ego_velo) == ("image_2", 1736, None)
    np.testing.assert_array_equal(camera.T_ego_cam, T_ego_cam0)
    with pytest.raises(ConfigError, match="holds no pose of a LiDAR"):
        read_kitti(path, size=(4640, 3472))
    path.write_text(zeros)
    with pytest.raises(DataError, match=r"P0: expected projection matrices P0 \.\.\. P3 other than 0"):
        read_kitti(path, size=(4640, 3472), T_ego_cam0=T_ego_cam0)


def test_object_files_project_as_their_readme_says(tmp_path):
    day = Day(tmp_path, 5)
    Tr_velo = np.column_stack([day.velo_R, day.velo_t])
    text = "".join(line(f"P{n}", day.P[n]) for n in range(4)) + line("R0_rect", day.R_rect)
    text += line("Tr_velo_to_cam", Tr_velo) + line("Tr_imu_to_velo", np.column_stack([day.imu_R, day.imu_t]))
    path = tmp_path / "000000.txt"
    path.write_text(text)
    found = read_kitti(path, size=(1242, 375))
    rig, T_ego_velo = found.rig, found.T_ego_velo
    assert found.ego == "The ego frame is the IMU's, 0.93 m lower: on the road."
    assert T_ego_velo[2, 3] == pytest.approx(1.73, abs=0.05), "the Velodyne stands 1.73 m above the road"
    in_ego = day.points_velo @ T_ego_velo[:3, :3].T + T_ego_velo[:3, 3]
    in_cam0 = day.points_velo @ day.velo_R.T + day.velo_t
    for n, camera in enumerate(rig.cameras):
        y = (day.P[n] @ np.column_stack([in_cam0 @ day.R_rect.T, np.ones(50)]).T).T
        assert np.abs(project(camera, in_ego)[0] - y[:, :2] / y[:, 2:]).max() < 1e-6
    with pytest.raises(ConfigError, match="--size WIDTH,HEIGHT"):
        read_kitti(path)
    path.write_text(line("P0", [1, 2, 3]) + line("R0_rect", np.eye(3)) + line("Tr_velo_to_cam", [1, 2]))
    with pytest.raises(DataError, match="Tr_velo_to_cam: expected 12 numbers, received 2 numbers"):
        read_kitti(path, size=(1242, 375))


def test_kitti360_takes_the_rectified_cameras_and_tells_the_rest(tmp_path):
    rng = np.random.default_rng(3)
    R_rect = [turn(rng), turn(rng)]
    f, cx, cy = 552.55, 682.05, 238.77
    K = np.array([[f, 0, cx], [0, f, cy], [0, 0, 1]])
    # Forward in the IMU frame (x forward, y right, z down) is the camera's z.
    R_imu_rect = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]]) @ turn(rng)
    text, poses, T_imu_cam = "calib_time: x\n", "", []
    for n in range(2):
        text += line(f"S_rect_0{n}", [1408, 376]) + line(f"R_rect_0{n}", R_rect[n])
        text += line(f"P_rect_0{n}", np.column_stack([K, [-0.6 * f * n, 0, 0]]))
    for n in range(4):
        R = R_imu_rect @ (R_rect[n] if n < 2 else turn(rng))
        T = affine(R, R_imu_rect @ [0.6 * n, 0, 0] + [1.57, 0, -0.62])
        T_imu_cam.append(T)
        poses += line(f"image_0{n}", T[:3])
    (tmp_path / "perspective.txt").write_text(text)
    (tmp_path / "calib_cam_to_pose.txt").write_text(poses)
    T_ego_imu = affine(np.diag([1.0, -1, -1]), [0, 0, 0.9])
    rig, left_out = read_kitti360(tmp_path, T_ego_imu)
    assert left_out == ("image_02", "image_03")
    points = rng.uniform([8, -3, -1], [40, 3, 2], (50, 3))
    for n, camera in enumerate(rig.cameras):
        T_cam_imu = np.linalg.inv(T_imu_cam[n] @ affine(R_rect[n].T, [0, 0, 0]))
        in_imu = (points - [0, 0, 0.9]) * [1, -1, -1]
        y = (in_imu @ T_cam_imu[:3, :3].T + T_cam_imu[:3, 3]) @ K.T
        assert np.abs(project(camera, points)[0] - y[:, :2] / y[:, 2:]).max() < 1e-6
        assert 1.4 < camera.T_ego_cam[2, 3] < 1.6
    lens = tmp_path / "perspective.txt"
    lens.write_text(text.replace(line("P_rect_01", np.column_stack([K, [-0.6 * f, 0, 0]])),
                                 line("P_rect_01", np.column_stack([K, [0.6 * f, 0, 0]]))))  # fmt: skip
    told = r"in image_01.*\(0\.600, 0\.000, 0\.000\) m by P_rect_01 and \(-0\.600, 0\.000, 0\.000\) m by calib_cam"
    with pytest.raises(DataError, match=told):
        read_kitti360(tmp_path, T_ego_imu)
    lens.write_text(text.replace(line("P_rect_01", np.column_stack([K, [-0.6 * f, 0, 0]])),
                                 line("P_rect_01", np.column_stack([K, np.zeros(3)]))))  # fmt: skip
    assert read_kitti360(tmp_path, T_ego_imu)[0].names == ("image_00", "image_01"), "a column of zeros tells nothing"
    with pytest.raises(ConfigError, match="--T_ego_imu, the pose of the GPS/IMU frame"):
        read_kitti360(tmp_path)
    with pytest.raises(DataError, match="perspective.txt"):
        read_kitti360(tmp_path / "nowhere", T_ego_imu)
