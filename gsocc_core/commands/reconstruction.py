# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The command for pictures whose poses nobody knows."""

from __future__ import annotations

from typing import Literal

from gsocc_core.reconstruction.scale import WantedScale


def reconstruct(
    photos: str,
    bundle: str,
    out: str = "reconstruction",
    scale: WantedScale = "auto",
    mounting_height_m: float | None = None,
    baseline_m: float | None = None,
    rig: str | None = None,
    rig_gives: Literal["poses", "intrinsics"] = "poses",
    focal_px: float | None = None,
    prompts: str | None = None,
    encoder: str = "wordllama",
    max_views: int = 16,
    max_gaussians: int = 20_000,
    voxel_m: float | None = None,
    least_confidence: float = 0.06,
    show: bool = True,
    host: str = "127.0.0.1",
    port: int = 8080,
    device: str = "cpu",
) -> None:
    """Make Gaussians, cameras and occupancy of photographs of one place, and show them on a web page.

    The folder ``out`` gets ``gaussians.ply``, ``scene.npz``, ``cameras.yaml`` and what `view` and `query` need.

    Args:
        photos: Folder with .jpg, .jpeg or .png files of one static place; the first by name is the reference.
        bundle: Bundle folder or hub id of a method of unposed views, such as uni3r.
        out: Folder to make; it must not exist.
        scale: What shall tell metres: auto = the first of poses (of ``rig``), baseline, mounting_height and learned
            that is at hand.
        mounting_height_m: Height of the first picture's camera above the ground, metres; None = unknown.
        baseline_m: Distance between the cameras of the first and the last picture, metres; None = unknown.
        rig: Rig file whose cameras are called like the pictures, without distortion; None = nothing is known but EXIF.
        rig_gives: poses = take poses and intrinsics of the rig; intrinsics = take these alone.
        focal_px: Focal length of all pictures, pixels; None = EXIF's, or it is estimated.
        prompts: Words of the classes, a YAML or .safetensors file; None = the bundle's words.safetensors, or
            no classes.
        encoder: Text encoder of words, the one of the model's teacher.
        max_views: Of more pictures, so many evenly spread ones are used: time grows with their square.
        max_gaussians: Merge to at most so many.
        voxel_m: Edge of a voxel, metres; None = by the size of the scene.
        least_confidence: A picture that agrees with no other one to this degree has no pose and is left out, 0..1.
        show: Open the page; false = only write.
        host: Address that the page listens on; 0.0.0.0 = reachable from other machines.
        port: TCP port of the page; the next free one if it is taken.
        device: cpu, cuda or auto.
    """
    from pathlib import Path

    from gsocc_core.errors import OutputExistsError
    from gsocc_core.export.reconstruction_files import PhotoArgs, reconstruct_photos
    from gsocc_core.reconstruction.reconstructor import ReconstructArgs, Reconstructor
    from gsocc_core.reconstruction.scale import ScaleHints
    from gsocc_core.text.class_prompts import load_class_prompts
    from gsocc_core.viewer.open_source import check_view
    from gsocc_core.viewer.open_source import show as show_source
    from gsocc_core.viewer.snapshot import SnapshotSource

    if show:
        check_view(None)
    if Path(out).exists():
        raise OutputExistsError(out, "out", "a folder that does not exist", "an existing one")
    hints = ScaleHints(scale, baseline_m, mounting_height_m)
    options = ReconstructArgs(max_gaussians, least_confidence, voxel_m)
    pictures = PhotoArgs(photos, max_views, rig, rig_gives, focal_px)
    words = None if prompts is None else load_class_prompts(prompts, None, encoder)
    model = Reconstructor.load(bundle, words, encoder, device)
    result = reconstruct_photos(pictures, model, out, hints, options)
    print(f"{result.summary()}\n{out}")
    if show:
        show_source(SnapshotSource(out, None), None, 0, host, port)
