# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of a rig without looking at pictures: what is impossible, what is unlikely, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal

import numpy as np

from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.rigid import rotation_fault
from gsocc_core.rigs.coverage import AZIMUTHS, field_of_view_deg, heading_deg, pixel_rays, project, seen_around
from gsocc_core.rigs.rig_file import CameraRig

Level = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        level: error = the rig cannot be right; warning = look at it; note = good to know; ok.
        camera: Name of the camera, or rig.
        what: What was found, with numbers.
        do: What to do; empty where nothing is to be done.
    """

    level: Level
    camera: str
    what: str
    do: str = ""


def check_times(offsets_ms: Mapping[str, float | None]) -> list[Finding]:
    """What can be said of cameras of which a rig file tells times and no calibration.

    Args:
        offsets_ms: When each camera fires within a cycle; None = unknown.

    Example:
        >>> [finding.what for finding in check_times({"front": 7.6})]
        ['fires 7.6 ms after the begin of a cycle', 'no calibration in this file']
    """
    found = [
        Finding("note", name, "when it fires within a cycle is unknown")
        if offset is None
        else Finding("ok", name, f"fires {offset:g} ms after the begin of a cycle")
        for name, offset in offsets_ms.items()
    ]
    do = "robots and recordings bring it (CameraInfo, /tf); `gsocc_core rig` and `rosbag2_to_rig` write it into a file"
    return [*found, Finding("note", "rig", "no calibration in this file", do)]


def check_rig(
    rig: CameraRig,
    picture_sizes: Mapping[str, tuple[int, int] | None] | None = None,
    points_m: np.ndarray | None = None,
) -> list[Finding]:
    """Run all checks.

    Args:
        rig: The cameras.
        picture_sizes: (width, height) of each camera's picture, None = there is none; None = no pictures at hand.
        points_m: (N, 3) LiDAR points in the ego frame, metres, or None.

    Returns:
        Findings, at least one per camera, in the order of the rig.

    Example:
        >>> found = check_rig(CameraRig.load("config/rigs/example_calibrated.yaml"))
        >>> [finding for finding in found if finding.level in ("warning", "error")]
        []
    """
    found: list[Finding] = []
    for camera in rig.cameras:
        own = [*_rotation(camera), *_place(camera), *_lens(camera)]
        if not any(finding.level == "error" for finding in own):
            own += _view(camera)
        if picture_sizes is not None:
            own += _size(camera, picture_sizes.get(camera.name))
        if not any(finding.level == "error" for finding in own):
            across, down = field_of_view_deg(camera)
            x, y, z = camera.T_ego_cam[:3, 3]
            text = (
                f"{camera.model} {camera.width} x {camera.height}, {across:.0f} x {down:.0f} deg, looks "
                f"{heading_deg(camera):+.0f} deg, at ({x:.2f}, {y:.2f}, {z:.2f}) m"
            )
            own.insert(0, Finding("ok", camera.name, text))
        found += own
    found += _twins(rig.cameras)
    if not any(finding.level == "error" for finding in found):
        found += _around(rig.cameras)
        if points_m is not None:
            found += _points(rig.cameras, points_m)
    return found


def _rotation(camera: Camera) -> list[Finding]:
    name, R = camera.name, camera.T_ego_cam[:3, :3]
    fault = rotation_fault(R)
    if fault is not None:
        mirrors = "mirrors" in fault
        do = (
            "one axis has the wrong sign: x right, y down, z forward"
            if mirrors
            else "give more digits, or a quaternion"
        )
        return [Finding("error", name, f"the rotation of T_ego_cam {fault}", do)]
    found: list[Finding] = []
    if R[2, 2] > 0.9 and R[2, 1] > -0.5:
        do = "T_ego_cam wants the optical frame (z forward, x right, y down); this looks like a body frame with z up"
        found.append(Finding("error", name, "the optical axis points straight up", do))
    elif abs(R[2, 2]) > 0.8:
        angle = np.degrees(np.arcsin(R[2, 2]))
        where = "up" if R[2, 2] > 0 else "down"
        do = "right for a camera that looks at the ground; else the rotation is in another convention" + _hint(camera)
        found.append(Finding("warning", name, f"the optical axis points mostly {where} ({angle:+.0f} deg)", do))
    elif R[2, 1] > 0.3:
        do = "right for a camera that hangs upside down; else turn it by 180 degrees around its axis" + _hint(camera)
        found.append(Finding("warning", name, "the picture is upside down (its y axis points up)", do))
    elif abs(R[2, 0]) > 0.35:
        angle = np.degrees(np.arcsin(R[2, 0]))
        do = "compare the horizon in the picture with the drawn one" + _hint(camera)
        found.append(Finding("warning", name, f"the camera is rolled by {angle:+.0f} deg", do))
    return found


def _hint(camera: Camera) -> str:
    """Whether the inverse pose would be that of an ordinary camera."""
    R, t = camera.T_ego_cam[:3, :3].T, -camera.T_ego_cam[:3, :3].T @ camera.T_ego_cam[:3, 3]
    plausible = abs(R[2, 2]) < 0.6 and R[2, 1] < -0.7 and 0.1 < t[2] < 5
    return "; its inverse would fit: the file may hold T_cam_ego" if plausible else ""


def _place(camera: Camera) -> list[Finding]:
    x, y, z = camera.T_ego_cam[:3, 3]
    found = []
    if max(abs(x), abs(y), abs(z)) > 50:
        do = "positions are in metres, in the robot's own frame: not millimetres, not a map frame"
        return [Finding("error", camera.name, f"sits {np.linalg.norm([x, y, z]):.0f} m from the ego origin", do)]
    if z < 0:
        do = "the ego frame lies on the ground with z up" + (_hint(camera) or "; is the translation from base_link?")
        found.append(Finding("error", camera.name, f"sits {-z:.2f} m below the ground", do))
    elif z < 0.05:
        do = "base_link on the ground? If the ego frame lies higher, add its height to all positions"
        found.append(Finding("warning", camera.name, f"sits on the ground (z = {z:.2f} m)", do))
    elif z > 5:
        found.append(Finding("warning", camera.name, f"sits {z:.1f} m above the ground", "check the unit: metres"))
    if np.hypot(x, y) > 10:
        text = f"sits {np.hypot(x, y):.1f} m beside the ego origin"
        found.append(Finding("warning", camera.name, text, "check the unit and the frame"))
    return found


def _lens(camera: Camera) -> list[Finding]:
    K, name, found = camera.intrinsics, camera.name, []
    cx, cy = K[0, 2] / camera.width, K[1, 2] / camera.height
    pixels = f"({K[0, 2]:.0f}, {K[1, 2]:.0f}) of {camera.width} x {camera.height}"
    if not (0 <= cx <= 1 and 0 <= cy <= 1):
        do = "intrinsics and width, height must belong to the same picture size"
        return [Finding("error", name, f"the principal point {pixels} lies outside the picture", do)]
    if max(abs(cx - 0.5), abs(cy - 0.5)) > 0.2:
        do = "right for a cropped picture; else intrinsics and size belong to different pictures"
        found.append(Finding("warning", name, f"the principal point {pixels} is far from the middle", do))
    if max(K[0, 0] / K[1, 1], K[1, 1] / K[0, 0]) > 1.1:
        do = "right for a picture that was stretched; else one of them is wrong"
        found.append(Finding("warning", name, f"fx {K[0, 0]:.0f} and fy {K[1, 1]:.0f} px differ much", do))
    across, _ = field_of_view_deg(camera)
    if across < 12 or (camera.model == "pinhole" and across > 140):
        do = "check fx and width; beyond about 120 degrees the fisheye model fits better"
        found.append(Finding("warning", name, f"a field of view of {across:.0f} deg across", do))
    blind = 1 - float(pixel_rays(camera).valid.mean())
    if blind > 0.002 and camera.model == "pinhole":
        do = "the distortion was fitted without points near the corners; calibrate again with some, or as fisheye"
        found.append(Finding("warning", name, f"{blind:.1%} of the pixels lie beyond where the distortion folds", do))
    elif blind > 0.002:
        text = f"{blind:.0%} of the pixels lie outside the image circle, {across:.0f} deg across"
        found.append(Finding("note", name, text))
    return found


def _view(camera: Camera) -> list[Finding]:
    """Does the picture show the ground and the horizon?"""
    rays = pixel_rays(camera, 32)
    rise = rays.directions[..., 2][rays.valid]
    if rise.size and rise.min() > -0.02:
        return [Finding("warning", camera.name, "sees no ground within 50 m", "check pitch and sign of the rotation")]
    if rise.size and rise.max() < 0:
        return [Finding("note", camera.name, "the horizon is not in the picture (it looks down)")]
    return []


def _size(camera: Camera, size: tuple[int, int] | None) -> list[Finding]:
    if size is None:
        return [Finding("warning", camera.name, "no picture", f"put {camera.name}.jpg or .png into the folder")]
    if size == (camera.width, camera.height):
        return []
    text = f"the picture is {size[0]} x {size[1]}, the rig says {camera.width} x {camera.height}"
    x, y = size[0] / camera.width, size[1] / camera.height
    if size[0] != size[1] and size == (camera.height, camera.width):
        do = "turned by 90 degrees: calibrate the upright picture, as viewers show it, or remove its EXIF orientation"
    elif abs(x - y) < 0.01:
        do = f"same shape: multiply intrinsics, width and height by {x:.4g}, or give pictures of the rig's size"
    else:
        do = "another shape: a cropped or wrong picture, or the size in the rig file is wrong"
    return [Finding("error", camera.name, text, do)]


def _twins(cameras: Sequence[Camera]) -> list[Finding]:
    found = []
    for a, b in combinations(cameras, 2):
        near = np.linalg.norm(a.T_ego_cam[:3, 3] - b.T_ego_cam[:3, 3]) < 0.01
        turned = np.trace(a.T_ego_cam[:3, :3].T @ b.T_ego_cam[:3, :3])
        if near and turned > 1 + 2 * np.cos(np.radians(1)) and a.model == b.model:
            do = "a copied entry? Give each camera its own calibration; two lenses at one place may stay"
            same = np.allclose(a.intrinsics, b.intrinsics, rtol=0.01)
            what = "have the same pose" + (" and intrinsics" if same else "")
            found.append(Finding("error" if same else "warning", f"{a.name}, {b.name}", what, do))
    return found


def _around(cameras: Sequence[Camera]) -> list[Finding]:
    """Overlaps between neighbours and directions that nobody sees, at 10 m."""
    step = 360 / AZIMUTHS
    ordered = sorted(cameras, key=heading_deg)
    seen = {camera.name: seen_around(camera) for camera in cameras}
    found = []
    pairs = list(zip(ordered, ordered[1:] + ordered[:1])) if len(ordered) > 2 else list(pairwise(ordered))
    for a, b in pairs:
        shared = float((seen[a.name] & seen[b.name]).sum() * step)
        apart = abs((heading_deg(b) - heading_deg(a) + 180) % 360 - 180)
        names = f"{a.name}, {b.name}"
        if shared > 0:
            found.append(Finding("ok", names, f"overlap by {shared:.0f} deg at 10 m"))
        else:
            found.append(Finding("note", names, f"do not overlap at 10 m; their axes are {apart:.0f} deg apart"))
    blind = ~np.any(list(seen.values()), axis=0)
    for begin, end in _runs(blind):
        low, high = ((edge + 180) % 360 - 180 for edge in (begin * step, end * step))
        text = f"nobody sees {(end - begin) * step:.0f} deg, from {low:+.0f} to {high:+.0f} deg, at 10 m"
        found.append(Finding("note", "rig", text, "fine if meant: what is there is guessed"))
    if not blind.any():
        found.append(Finding("ok", "rig", "all directions are seen at 10 m"))
    return found


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Begin and end of runs on a ring; an end may lie beyond the last index."""
    if mask.all():
        return [(0, len(mask))]
    edges = np.flatnonzero(mask & ~np.roll(mask, 1))
    return [(int(e), int(e) + int(np.argmin(np.concatenate([mask[e:], mask[:e]])))) for e in edges]


def _points(cameras: Sequence[Camera], points_m: np.ndarray) -> list[Finding]:
    found = []
    near = points_m[np.linalg.norm(points_m[:, :2], axis=-1) < 20]
    if len(near) > 100:
        ground = float(np.percentile(near[:, 2], 10))
        if abs(ground) > 0.6:
            do = "the points are expected in the ego frame: give the sensor's pose with --T_ego_lidar"
            found.append(Finding("warning", "points", f"the ground among the points lies at z = {ground:.2f} m", do))
    counts = {camera.name: int(project(camera, points_m)[2].sum()) for camera in cameras}
    if not any(counts.values()):
        do = "the cloud is empty, in millimetres, or in another frame: --T_ego_lidar"
        return [*found, Finding("error", "points", "no point falls into any picture", do)]
    shown = ", ".join(f"{name} {count}" for name, count in counts.items())
    return [*found, Finding("ok", "points", f"points in the pictures: {shown}")]


def table(findings: Sequence[Finding]) -> str:
    """Findings as text, a line each and what to do below it.

    Example:
        >>> print(table([Finding("error", "front", "sits 1.20 m below the ground", "is z up?")]))
        error    front  sits 1.20 m below the ground
                        -> is z up?
    """
    width = max(len(finding.camera) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:<8} {finding.camera:<{width}}  {finding.what}")
        if finding.do:
            lines.append(f"{'':<8} {'':<{width}}  -> {finding.do}")
    return "\n".join(lines)
