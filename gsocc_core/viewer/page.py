# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The web page: one thread draws the newest wish, whatever the controls do meanwhile."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from gsocc_core.errors import ConfigError, GsoccError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import SemanticGrid
from gsocc_core.viewer.asked import Answer, answer
from gsocc_core.viewer.comparison import compare, occupied_iou
from gsocc_core.viewer.frames import FrameSource, LabelledGaussians, ViewFrame, seen, thin
from gsocc_core.viewer.meshes import TriangleMesh, voxel_meshes
from gsocc_core.viewer.panel import ControlPanel, Voxels, Wanted, legend
from gsocc_core.viewer.shapes import arrows, frustum

#: Distance of the ground truth when it stands beside the prediction, to the right, metres.
_BESIDE_M = 90.0
_LEAST_OPACITY = 0.03
#: Width of a drive's grid, metres; what is drawn beside voxels is as large as it fits to that.
_SPAN_M = 80.0
_ARROW_COLOR = (200, 30, 160)


def import_viser() -> Any:
    """The page's library.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import viser
    except ImportError as error:
        raise ConfigError("viser", "import", "pip install viser", error) from error
    return viser


class ViewerPage:
    """Shows frames on a web page until it is closed.

    Args:
        source: What to show.
        host: Address to listen on; 127.0.0.1 = this machine only, 0.0.0.0 = every network.
        port: TCP port; the next free one if it is taken.
        start: Frame to begin with.
        fps: Frames per second while playing.

    Raises:
        ConfigError: viser is not installed, or there is no such frame.

    Example:
        >>> page = ViewerPage(source)  # doctest: +SKIP
        >>> page.url  # doctest: +SKIP
        'http://127.0.0.1:8080'
    """

    def __init__(
        self, source: FrameSource, host: str = "127.0.0.1", port: int = 8080, start: int = 0, fps: float = 2.0
    ) -> None:
        if not 0 <= start < len(source):
            raise ConfigError("view", "frame", f"0 ... {len(source) - 1}", start)
        first = source.frame(0, wait=False)
        voxels: Voxels = "prediction" if first.pending or first.prediction is not None else "ground truth"
        # Gaussians that have colours of their own are a scene to walk through.
        coloured = first.gaussians is not None and first.gaussians.colors is not None
        self._span_m, self._middle_m = _extent(first.prediction)
        self._server = import_viser().ViserServer(host=host, port=port, verbose=False)
        self._source, self._host = source, host
        # What is on the page, and what it was made from: nothing is sent twice.
        self._nodes: dict[str, Any] = {}
        self._contents: dict[str, object] = {}
        self._frame: tuple[int, ViewFrame] | None = None
        self._meshes: dict[tuple[object, ...], dict[int, TriangleMesh]] = {}
        self._answer: tuple[object, Answer] | None = None
        self._drawn: Wanted | None = None
        self._stale, self._closed = True, False
        self._news = threading.Condition()
        #: Number of pictures drawn, and how long the server took for the last one, ms.
        self.drawn, self.last_step_ms = 0, 0.0
        self._furnish()
        voxels = "none" if coloured else voxels
        self._panel = ControlPanel(
            self._server, source.classes, len(source), start, voxels, fps, self.refresh, coloured
        )
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._draw_loop, self._play_loop)]
        for thread in self._threads:
            thread.start()

    def _furnish(self) -> None:
        scene = self._server.scene
        # Shadows and reflections cost more than all voxels, and tell nothing here.
        scene.configure_environment_map(hdri=None)
        scene.configure_default_lights(cast_shadow=False)
        scene.add_light_ambient("/light", intensity=0.8)
        camera = self._server.initial_camera
        (x, y), part = self._middle_m, self._span_m / _SPAN_M
        camera.position, camera.look_at = (x - 44 * part, y, 34 * part), (x + 6 * part, y, -4 * part)
        self._server.gui.configure_theme(show_logo=False, show_share_button=False, control_layout="collapsible")
        self._server.gui.set_panel_label("gsocc")

    @property
    def url(self) -> str:
        """Address for a browser on this machine."""
        host = "127.0.0.1" if self._host in {"0.0.0.0", "::"} else self._host  # noqa: S104 - compared, not bound
        return f"http://{host}:{self._server.get_port()}"

    def refresh(self, index: int | None = None) -> None:
        """Draw again what the controls say.

        Args:
            index: Only if this frame is the one on the page, because it changed; None = in any case.
        """
        with self._news:
            if index is None or index == self._panel.wanted().index:
                self._stale = self._stale or index is not None
                self._news.notify_all()

    def go(self, index: int) -> None:
        """Move the slider."""
        self._panel.go(index)

    def wait_for(self, drawn: int, timeout_s: float) -> bool:
        """Wait until so many pictures have been drawn; False when the time is over."""
        with self._news:
            return self._news.wait_for(lambda: self.drawn >= drawn, timeout_s)

    def serve(self) -> None:
        """Keep the page until Ctrl+C."""
        try:
            while True:
                time.sleep(3600)
        finally:
            self.close()

    def close(self) -> None:
        """Stop the page."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        for thread in self._threads:
            thread.join()
        self._server.stop()

    def _play_loop(self) -> None:
        while not self._closed:
            due = time.monotonic() + 1 / self._panel.fps
            with self._news:
                self._news.wait_for(lambda: self._closed, max(due - time.monotonic(), 0.01))
            if self._panel.playing and not self._closed:
                self._panel.advance()

    def _draw_loop(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._closed or self._stale or self._panel.wanted() != self._drawn)
                if self._closed:
                    return
                again, self._stale, wanted = self._stale, False, self._panel.wanted()
                self._drawn = wanted
            started = time.perf_counter()
            try:
                self._draw(wanted, again)
            except GsoccError as error:
                self._tell_error(wanted, error)
            with self._news:
                self.last_step_ms = 1e3 * (time.perf_counter() - started)
                self.drawn += 1
                self._news.notify_all()

    def _tell_error(self, wanted: Wanted, error: GsoccError) -> None:
        empty = ViewFrame(f"frame {wanted.index + 1}", 0)
        with self._server.atomic():
            self._clear(set())
            self._panel.tell(empty, f"error: {error}", "")

    def _draw(self, wanted: Wanted, again: bool) -> None:
        if self._frame is None or self._frame[0] != wanted.index or again:
            self._frame = wanted.index, self._source.frame(wanted.index, wait=False)
        frame = self._frame[1]
        if self._answer is None or self._answer[0] != (wanted.index, wanted.queries, wanted.threshold) or again:
            found = answer(frame, wanted.queries, wanted.threshold)
            self._answer = (wanted.index, wanted.queries, wanted.threshold), found
        said = self._answer[1]
        layers, note = _layers(frame, said.prediction, wanted)
        meshes = self._mesh(layers, wanted, again)
        text = ""
        for name, grid in layers.items():
            iou = occupied_iou(grid) if name == "errors" else None
            text = text or legend(grid.classes, {i: mesh.voxels for i, mesh in meshes[name].items()}, iou)
        kept: set[str] = set()
        with self._server.atomic():
            for name, grid in layers.items():
                kept |= self._put_voxels(name, meshes[name], grid.classes, wanted, beside=len(layers) > 1)
            if wanted.cameras:
                kept |= self._put_cameras(frame)
            if wanted.gaussians and frame.gaussians is not None:
                kept |= self._put_gaussians(frame.gaussians, wanted)
            if wanted.arrows and frame.motion is not None and len(frame.motion.points_m):
                kept |= self._put_arrows(frame)
            self._clear(kept)
            self._panel.tell(frame, note, said.text + text)
        self._server.flush()

    def _mesh(self, layers: dict[str, SemanticGrid], wanted: Wanted, again: bool) -> dict[str, dict[int, TriangleMesh]]:
        """Meshes per layer; what did not change since the last picture is the same object as then."""
        kept: dict[tuple[object, ...], dict[int, TriangleMesh]] = {}
        result = {}
        for name, grid in layers.items():
            by_layer = {"errors": (wanted.classes,), "prediction": (wanted.queries, wanted.threshold)}
            key = (name, wanted.index, wanted.only_seen, by_layer.get(name))
            known = None if again else self._meshes.get(key)
            result[name] = kept[key] = known if known is not None else voxel_meshes(grid)
        self._meshes = kept
        return result

    def _put_voxels(
        self, layer: str, meshes: dict[int, TriangleMesh], classes: ClassTable, wanted: Wanted, beside: bool
    ) -> set[str]:
        kept, shift = set(), (0.0, -_BESIDE_M if beside and layer == "ground truth" else 0.0, 0.0)
        for label, mesh in meshes.items():
            is_class = layer != "errors" and label < len(self._source.classes.names)  # words have labels behind them
            name, shown = f"/{layer}/{classes.names[label]}", not is_class or label in wanted.classes
            kept.add(name)
            content = (mesh, shift)
            if name in self._nodes and self._contents.get(name) == content:
                self._nodes[name].visible = shown
                continue
            self._contents[name] = content
            self._nodes[name] = self._server.scene.add_mesh_simple(
                name, mesh.vertices_m, mesh.faces, color=classes.colors[label], position=shift, visible=shown,
                flat_shading=True, cast_shadow=False, receive_shadow=False,
            )  # fmt: skip
        return kept

    def _put_cameras(self, frame: ViewFrame) -> set[str]:
        kept = set()
        for view in frame.views:
            shape, name = frustum(view.camera), f"/cameras/{view.camera.name}"
            node = self._nodes.get(name)
            kept.add(name)
            if node is None:
                node = self._server.scene.add_camera_frustum(
                    name, shape.fov_rad, shape.aspect, scale=1.2 * self._span_m / _SPAN_M, color=(60, 60, 70),
                    image=view.image, format="jpeg", cast_shadow=False, receive_shadow=False,
                )  # fmt: skip
                self._nodes[name] = node
            elif self._contents.get(name) is view:
                continue
            else:
                node.fov, node.aspect, node.image = shape.fov_rad, shape.aspect, view.image
            self._contents[name] = view
            node.wxyz, node.position = shape.wxyz, shape.position_m
        return kept

    def _put_gaussians(self, gaussians: LabelledGaussians, wanted: Wanted) -> set[str]:
        shown = thin(gaussians, _LEAST_OPACITY, wanted.classes)
        if not len(shown.labels):
            return set()
        self._nodes["/gaussians"] = self._server.scene.add_gaussian_splats(
            "/gaussians",
            shown.means_m,
            shown.covariances_m2,
            self._source.classes.palette()[shown.labels] / 255.0 if shown.colors is None else shown.colors,
            shown.opacities[:, None],
        )
        return {"/gaussians"}

    def _put_arrows(self, frame: ViewFrame) -> set[str]:
        assert frame.motion is not None
        self._nodes["/velocities"] = self._server.scene.add_arrows(
            "/velocities", arrows(frame.motion), _ARROW_COLOR, shaft_radius=0.12, head_radius=0.3, head_length=0.6
        )
        return {"/velocities"}

    def _clear(self, kept: set[str]) -> None:
        for name in [name for name in self._nodes if name not in kept]:
            self._contents.pop(name, None)
            self._nodes.pop(name).remove()


def _extent(grid: SemanticGrid | None) -> tuple[float, tuple[float, float]]:
    """How wide a grid is and where its middle lies in the ego frame, metres; without one, those of a drive."""
    if grid is None:
        return _SPAN_M, (0.0, 0.0)
    size = np.asarray(grid.grid.shape) * np.asarray(grid.grid.size_m)
    T = grid.grid.T_ego_corner
    middle = T[:3, :3] @ (size / 2) + T[:3, 3]
    return float(size[:2].max()), (float(middle[0]), float(middle[1]))


def _layers(frame: ViewFrame, lit: SemanticGrid | None, wanted: Wanted) -> tuple[dict[str, SemanticGrid], str]:
    """Labels to draw by name, and what to tell about what is missing; ``lit`` is drawn as the prediction."""
    prediction, truth = frame.prediction, frame.truth
    if wanted.only_seen:
        prediction, lit = (None if grid is None else seen(grid, truth) for grid in (prediction, lit))
    layers: dict[str, SemanticGrid] = {}
    missing = []
    if wanted.voxels in {"prediction", "side by side"}:
        if lit is not None:
            layers["prediction"] = lit
        else:
            missing.append("prediction is being computed" if frame.pending else "no prediction")
    if wanted.voxels in {"ground truth", "side by side"}:
        if truth is not None:
            layers["ground truth"] = truth
        else:
            missing.append("no ground truth")
    if wanted.voxels == "errors":
        if prediction is not None and truth is not None:
            layers["errors"] = compare(prediction, truth, wanted.classes)
        else:
            missing.append("prediction is being computed" if frame.pending else "errors need prediction and truth")
    return layers, ", ".join(missing)
