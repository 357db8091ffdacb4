# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc (Gan et al., ICCV 2025), second stage: voxels learn from pictures that their Gaussians splat.

Pictures -> one map each -> features carried to the vertices of a contracted grid -> 3D hourglasses -> class logits per
vertex, free space among them. Every vertex is a Gaussian that never moves. Training splats classes and depth into the
present pictures; depth is judged by warping the neighbouring pictures with it. Poses are given, or come from a network
of the first stage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.contracted import ContractedGrid
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import SemanticGrid, VoxelGrid
from gsocc_core.methods.gaussianocc_args import WHERE, GaussianArgs, LossArgs, NetworkArgs, PoseArgs, RenderArgs
from gsocc_core.methods.gaussianocc_losses import GaussianOccLosses
from gsocc_core.methods.gaussianocc_network import PictureEncoder
from gsocc_core.methods.gaussianocc_vertices import VertexGaussians
from gsocc_core.methods.learned_poses import LearnedPoses, RigMotion
from gsocc_core.methods.method import Method, PoseMethod
from gsocc_core.networks.backbones import BackboneArgs
from gsocc_core.networks.hourglass import HourglassStack
from gsocc_core.networks.lifting import lift_pictures

#: The paper's backbone: ResNet-101, of which the fourth stage is not used.
_BACKBONE = BackboneArgs("microsoft/resnet-101", "resnet", {"depths": [3, 4, 23, 3]}, (2, 3))


@dataclass(frozen=True)
class Output:
    """Result of :meth:`GaussianOcc.forward`.

    Attributes:
        logits: (B, X, Y, Z, C) at the vertices; channel c stands for ``classes.channel_ids[c]``.
        vertices: What makes Gaussians of them.
        memory: None: every key frame stands by itself.
        motion: Learned poses that a training goes by; None = the given ones.
    """

    logits: Tensor
    vertices: VertexGaussians
    memory: None = None
    motion: RigMotion | None = None

    @cached_property
    def scene(self) -> Gaussians:
        """(B, K) Gaussians of the vertices that are not too faint, in the reference ego frame.

        They are made when they are first asked for: labels need none.
        """
        made: Gaussians = self.vertices(self.logits)
        return made


class GaussianOcc(Method):
    """GaussianOcc's second stage.

    Args:
        classes: Class table; one channel stands for free space.
        grid: Voxel grid of predictions; the vertices are even inside its box and reach to infinity around it.
        image_size: (height, width) of the network's pictures, pixels.
        backbone: Image backbone; its ``out_indices`` are two stages.
        network: Sizes.
        gaussians: What a vertex is to the renderer and to the voxels.
        render: How training renders the present pictures.
        loss: Loss weights.
        poses: Where a training has the poses of neighbouring pictures from.
        pretrained: Load the backbone's hub weights, if it has a hub id.

    Raises:
        ConfigError: values that do not fit each other.
    """

    TRAINING_ONLY = ("render", "loss", "poses")
    CLASS_HEADS = ("decoder.last",)
    RECORDABLE = True

    poses: LearnedPoses | None

    def __init__(
        self,
        classes: ClassTable,
        grid: VoxelGrid,
        image_size: tuple[int, int] = (384, 640),
        backbone: BackboneArgs | None = None,
        network: NetworkArgs | None = None,
        gaussians: GaussianArgs | None = None,
        render: RenderArgs | None = None,
        loss: LossArgs | None = None,
        poses: PoseArgs | None = None,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        if classes.free_id not in classes.channel_ids:
            raise ConfigError(WHERE, "channels", f"one for free space (id {classes.free_id})", classes.channel_ids)
        self.classes, self.grid, self.image_size = classes, grid, (image_size[0], image_size[1])
        args = self.network_args = network or NetworkArgs()
        self.contracted = _contracted(grid, args)
        free_channel = classes.channel_ids.index(classes.free_id)
        self.vertices = VertexGaussians(self.contracted, gaussians or GaussianArgs(), free_channel)
        # Whatever sees pictures bears the name of what optimizers slow down.
        self.backbone = PictureEncoder(backbone or _BACKBONE, args, pretrained)
        self.decoder = HourglassStack(args.dim, args.volume_dim, len(classes.channel_ids), args.last_skip)
        norm = self.decoder.last[1]
        assert isinstance(norm, nn.BatchNorm3d)
        _begin(norm, free_channel, args)
        self.pose_args, self.poses = poses or PoseArgs(), None
        self.pose_bundle = self.pose_args.bundle
        self._objective = GaussianOccLosses(classes, self.vertices, render or RenderArgs(), loss or LossArgs())

    def forward(self, frames: FrameSet, memory: None = None) -> Output:
        """Predict the vertices of the present pictures.

        Args:
            frames: Pictures; only moment 0 is read.
            memory: Not used.

        Returns:
            Logits in the present ego frame.
        """
        del memory
        motion = self._motion(frames)
        if motion is not None:
            frames = replace(frames, cameras=motion.place_present(frames.cameras))
        valid = frames.valid[:, 0]
        maps = self.backbone(frames.images[:, 0].flatten(0, 1)).unflatten(0, valid.shape)
        cameras = frames.cameras.map(lambda t: t[:, 0])
        lifted = lift_pictures(maps, cameras, valid, self.vertices.means, self.network_args.lifting)
        volume = lifted.unflatten(-1, self.contracted.shape)
        if not volume.is_cuda:  # convolutions of few channels on a CPU go faster where the channels lie together
            volume = volume.contiguous(memory_format=torch.channels_last_3d)
        logits = self.decoder(volume)
        return Output(logits.movedim(1, -1), self.vertices, motion=motion)

    def losses(self, output: Output, frames: FrameSet) -> dict[str, Tensor]:
        """Weighted losses; see :class:`gsocc_core.methods.gaussianocc_args.LossArgs`."""
        targets = frames.targets
        if output.motion is not None and targets is not None and targets.view_cameras is not None:
            targets = replace(targets, view_cameras=output.motion.place(targets.view_cameras))
        return self._objective(output.logits, targets)

    def take_poses(self, method: PoseMethod) -> None:
        """Take a pose network over: as it is in mode ``learned``, to train on in mode ``refined``."""
        self.poses = method.learned
        if self.pose_args.mode == "learned":
            self.poses.requires_grad_(False).eval()

    def check_frames(self, frames: FrameSet) -> None:
        """Raise where the pose network knows another rig, another picture size or nearer neighbours."""
        if self.poses is not None:
            self.poses.check_rig(frames, self.pose_bundle)
            self.poses.check_times(frames)

    def check_moments(self, where: str, farthest_s: float, spread_s: float) -> None:
        """Raise DataError where the pose network could read no motion from a sample's pictures."""
        if self.poses is not None:
            self.poses.check_moments(where, farthest_s, spread_s)

    def train(self, mode: bool = True) -> GaussianOcc:
        """Training mode, but not of a pose network that stays as it is."""
        super().train(mode)
        if self.poses is not None and self.pose_args.mode == "learned":
            self.poses.eval()
        return self

    def _motion(self, frames: FrameSet) -> RigMotion | None:
        """Where a training takes the rig to have been; whoever uses the network knows, or says that it rested."""
        if self.poses is None or not self.training:
            return None
        if self.pose_args.mode == "refined":
            return self.poses(frames)
        with torch.no_grad():
            return self.poses(frames)

    @torch.no_grad()
    def occupancy(self, output: Output, grid: VoxelGrid | None = None) -> SemanticGrid:
        """Labels (B, X, Y, Z) of the logits between the vertices, trilinear in contracted coordinates.

        Args:
            output: Result of ``forward``.
            grid: Any grid, also outside the box of training; None = the grid of training.

        Returns:
            Labels, and the probability that they have as confidence.
        """
        grid = self.grid if grid is None else grid
        logits = self.contracted.read_voxels(output.logits, grid)
        vertices, ids = self.vertices, torch.tensor(self.classes.channel_ids, dtype=torch.uint8, device=logits.device)
        if vertices.args.decision == "argmax":
            confidence, channel = logits.softmax(-1).max(-1)
            return SemanticGrid(ids[channel], grid, self.classes, confidence)
        occupied = vertices.opacities(logits)
        free = torch.arange(logits.shape[-1], device=logits.device) == vertices.free_channel
        share, channel = logits.masked_fill(free, float("-inf")).softmax(-1).max(-1)
        full = occupied >= vertices.args.threshold
        labels = torch.where(full, ids[channel], self.classes.free_id).to(torch.uint8)
        return SemanticGrid(labels, grid, self.classes, torch.where(full, occupied * share, 1 - occupied))


@torch.no_grad()
def _begin(norm: nn.BatchNorm3d, free_channel: int, args: NetworkArgs) -> None:
    """Set deviations and opacity of the logits before a training; each channel of a batch comes with mean 0."""
    norm.weight.fill_(args.first_contrast)
    deviation = max(args.first_contrast / 2, 1.0)
    norm.weight[free_channel] = deviation
    if args.first_opacity is not None:
        # Mean of a sigmoid over a normal distribution, by the probit's slope (MacKay 1992).
        widened = math.sqrt(1 + math.pi * deviation**2 / 8)
        norm.bias[free_channel] = widened * math.log((1 - args.first_opacity) / args.first_opacity)


def _contracted(grid: VoxelGrid, args: NetworkArgs) -> ContractedGrid:
    if args.vertices is not None:
        return ContractedGrid(grid, args.vertices, args.inner)
    made = ContractedGrid.around(grid, args.inner)
    if any(n % 4 for n in made.shape):
        expected = f"multiples of 4; {made.shape} fit the grid best, so choose some near them"
        raise ConfigError(WHERE, "network.vertices", expected, "null")
    return made
