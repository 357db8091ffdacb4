# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The JSON files of TRI's Dataset Governance Policy (``dgp``), as DDAD has them: data set, scenes, calibrations.

A scene lists readings of sensors ("data") and which of them belong together ("samples"). Poses are those of the sensor
itself at its own stamp in the world, in calibrations those of the sensor in the vehicle's frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gsocc_core.data.stored import read_json, reading
from gsocc_core.errors import DataError
from gsocc_core.geometry.rigid import rigid_from_quat

Kind = Literal["image", "point_cloud"]
#: Numbers of dgp's splits.
SPLITS = {"0": "train", "1": "val", "2": "test", "3": "train_overfit"}
_INT64_MAX = 2**63 - 1
#: Lens coefficients in OpenCV's order.
_BROWN = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
#: Members of intrinsics that belong to other lenses than a pinhole with OpenCV's coefficients.
_OTHER_LENSES = (
    "fisheye", "equirectangular", "fov", "s1", "s2", "s3", "s4", "taux", "tauy", "alpha", "beta", "w", "xi",
)  # fmt: skip


@dataclass(frozen=True)
class SensorCalibration:
    """Where a sensor sits, and its lens.

    Attributes:
        T_ego_sensor: (4, 4) float64 pose in the vehicle's frame; of a camera that of its optical frame.
        intrinsics: (3, 3) float64 pixels, None of what is no camera.
        distortion: OpenCV's k1 k2 p1 p2 k3 k4 k5 k6; None = none.
    """

    T_ego_sensor: np.ndarray
    intrinsics: np.ndarray | None
    distortion: tuple[float, ...] | None


@dataclass(frozen=True)
class DgpReading:
    """What one sensor saw once.

    Attributes:
        name: Of the sensor, in capitals.
        kind: image or point_cloud.
        path: The file.
        stamp_ns: Its time.
        T_world_sensor: (4, 4) float64 pose of the sensor at that time.
        size: (width, height) of a picture, pixels; (0, 0) of a cloud.
    """

    name: str
    kind: Kind
    path: Path
    stamp_ns: int
    T_world_sensor: np.ndarray
    size: tuple[int, int]


@dataclass(frozen=True)
class DgpSample:
    """Readings that belong together.

    Attributes:
        key: Its number in the scene, for errors.
        calibration: File with the calibration of its sensors.
        readings: By the sensor's name in capitals.
    """

    key: str
    calibration: Path
    readings: Mapping[str, DgpReading]


def read_dgp_splits(path: Path) -> dict[str, list[Path]]:
    """Scene files per split of a data set's JSON, for instance ``ddad.json``.

    Raises:
        DataError: the file is missing or says something else.
    """
    content = read_json(path, "JSON of a dgp data set")
    with reading(path, "scene_splits with filenames"):
        return {
            SPLITS.get(number, number): [path.parent / name for name in files["filenames"]]
            for number, files in content["scene_splits"].items()
        }


def read_dgp_scene(path: Path) -> list[DgpSample]:
    """Samples of a scene in the order of the file; pictures and point clouds alone.

    Args:
        path: The scene's JSON; its files lie beside it.

    Raises:
        DataError: the file is missing or damaged, or a sample names a reading that is not there.
    """
    content = read_json(path, "JSON of a dgp scene")
    with reading(path, "data and samples of a dgp scene"):
        readings = {
            str(datum["key"]): found for datum in content["data"] if (found := _reading(path, datum)) is not None
        }
        others = {str(datum["key"]) for datum in content["data"]} - set(readings)
        samples = []
        for number, sample in enumerate(content["samples"]):
            of_sample: dict[str, DgpReading] = {}
            for key in sample["datum_keys"]:
                if key in others:
                    continue
                if key not in readings:
                    raise DataError(path, f"sample {number}", "datum keys that are among the data", key)
                of_sample[readings[key].name] = readings[key]
            calibration = path.parent / "calibration" / f"{sample['calibration_key']}.json"
            samples.append(DgpSample(f"sample {number}", calibration, of_sample))
    return samples


def _reading(path: Path, datum: Mapping[str, Any]) -> DgpReading | None:
    kinds: tuple[Kind, ...] = ("image", "point_cloud")
    kind = next((kind for kind in kinds if kind in datum["datum"]), None)
    if kind is None:
        return None
    content = datum["datum"][kind]
    size = (int(content["width"]), int(content["height"])) if kind == "image" else (0, 0)
    name = str(datum["id"]["name"]).upper()
    with reading(f"{path}: {name}, {content['filename']}", "a pose and a time stamp"):
        stamp_ns, T = parse_stamp(str(datum["id"]["timestamp"])), pose_of(content["pose"])
    return DgpReading(name, kind, path.parent / content["filename"], stamp_ns, T, size)


def read_dgp_calibration(path: Path) -> dict[str, SensorCalibration]:
    """Calibration by the sensor's name in capitals.

    Raises:
        DataError: the file is missing or damaged, or has a lens that is no pinhole with OpenCV's coefficients.
    """
    content = read_json(path, "JSON of a dgp calibration")
    result = {}
    with reading(path, "names, intrinsics and extrinsics, as many of each"):
        for name, lens, pose in zip(content["names"], content["intrinsics"], content["extrinsics"], strict=True):
            if other := [key for key in _OTHER_LENSES if lens.get(key, 0)]:
                expected = "a pinhole, with k1 ... k6, p1 and p2 if it is distorted"
                raise DataError(path, f"{name}: {other[0]}", expected, lens[other[0]])
            K = np.array([[lens.get("fx", 0), lens.get("skew", 0), lens.get("cx", 0)],
                          [0, lens.get("fy", 0), lens.get("cy", 0)], [0, 0, 1]], np.float64)  # fmt: skip
            distortion = tuple(float(lens.get(key, 0)) for key in _BROWN)
            result[str(name).upper()] = SensorCalibration(
                pose_of(pose), K if K[0, 0] and K[1, 1] else None, distortion if any(distortion) else None
            )
    return result


def pose_of(content: Mapping[str, Any]) -> np.ndarray:
    """(4, 4) float64 pose of a dgp message; members that are 0 may be left out.

    Example:
        >>> pose_of({"translation": {"x": 2.0}, "rotation": {"qw": 1.0}})[:3, 3]
        array([2., 0., 0.])
    """
    quat = [content["rotation"].get(key, 0.0) for key in ("qw", "qx", "qy", "qz")]
    return rigid_from_quat(quat, [content["translation"].get(key, 0.0) for key in ("x", "y", "z")])


def parse_stamp(text: str) -> int:
    """Nanoseconds of a time stamp of dgp.

    DDAD counts tenths of microseconds, which its JSON files take for microseconds: dates in the 25th century, and a
    second from one sample to the next of ten per second. Nanoseconds of such a date do not fit into 64 bits, which
    tells them; their tenth, which is the true time, is returned.

    Args:
        text: For instance 2019-05-03T21:39:53.820Z.

    Example:
        >>> parse_stamp("1970-01-01T00:00:01.5Z")
        1500000000
        >>> parse_stamp("2463-05-15T00:38:58.203752Z") == 15569195938203752 * 100  # the count in its files' names
        True
    """
    whole, _, fraction = text.rstrip("Z").partition(".")
    if fraction and not (fraction.isdigit() and len(fraction) <= 9):
        raise DataError("dgp", "timestamp", "a date and time with up to nine decimals", text)
    seconds = int(np.datetime64(whole, "s").astype(np.int64))
    nanoseconds = seconds * 10**9 + int(fraction.ljust(9, "0"))
    return nanoseconds if nanoseconds <= _INT64_MAX else nanoseconds // 10
