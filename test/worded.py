# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny method that is told its classes in words: Gaussians at known places, each with a learned text feature."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from gsocc_core import Gaussians, TextFeatures, VoxelGrid, splat_to_labels
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.methods.build import METHODS
from gsocc_core.methods.method import Method
from gsocc_core.synthetic.world.plain_things import CLASSES
from gsocc_core.text.class_prompts import ClassPrompts
from gsocc_core.text.encoder import load_text_encoder

#: What names them in a configuration while :func:`listed` holds.
NAME, OPTIONAL = "worded", "optionally_worded"
GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 1.0), 1.0)
#: Places of its Gaussians, metres: in the middle of voxels, farther apart than they reach.
MEANS = ((-2.5, -2.5, 0.5), (-2.5, 2.5, 0.5), (2.5, -2.5, 0.5), (2.5, 2.5, 0.5))

#: What stands there in the bundle of :func:`write_bundle`, and the words of its classes.
HELD, WORDS = ("bus", "oak", "crate", "horse"), ("vehicle", "tree", "animal", "container")


@dataclass(frozen=True)
class Output:
    """Gaussians with their text features beside them."""

    scene: Gaussians
    text: TextFeatures | None
    memory: None = None


class Worded(Method):
    """Four balls; the voxel's class is that of the word whose embedding is most like the ball's feature.

    Args:
        classes: Class table.
        pretrained: Nothing is.
        prompts: Words of the classes.
        grid: Voxel grid.
        telling: Give the text features away.
    """

    def __init__(
        self, classes, pretrained: bool, prompts: ClassPrompts, grid: VoxelGrid = GRID, telling: bool = True
    ) -> None:
        super().__init__()
        self.grid, self.image_size, self.telling = grid, (32, 64), telling
        self.prompts, self.classes = prompts, classes.with_channels(prompts.class_ids(classes))
        self.aligned = nn.Parameter(torch.randn(len(MEANS), prompts.dim))
        self.register_buffer("basis", torch.eye(prompts.dim), persistent=False)

    def forward(self, frames, memory=None):
        b = frames.images.shape[0]
        means = torch.tensor(MEANS).expand(b, -1, -1)
        values = (self.aligned @ self.basis).expand(b, -1, -1)
        logits = values @ (self.prompts.embeddings @ self.basis).T
        quats = torch.tensor([1.0, 0, 0, 0]).expand(b, len(MEANS), 4)
        scene = Gaussians(means, torch.full_like(means, 0.4), quats, torch.full((b, len(MEANS)), 0.9), logits)
        return Output(scene, TextFeatures(values, self.basis, self.prompts.encoder) if self.telling else None)

    def losses(self, output, frames):
        return {"size": self.aligned.square().mean()}

    def occupancy(self, output, grid=None):
        return splat_to_labels(output.scene, grid or self.grid, self.classes, threshold=0.2)


class OptionallyWorded(Worded):
    """Has a class of its own where it is told no words.

    Args:
        classes: Class table.
        pretrained: Nothing is.
        prompts: Words of the classes.
    """

    def __init__(self, classes, pretrained: bool, prompts: ClassPrompts | None = None) -> None:
        super().__init__(
            classes, pretrained, prompts or ClassPrompts(("it",), (classes.names[1],), torch.ones(1, 3), "wordllama")
        )
        self.prompts = prompts


def write_bundle(patch, path: Path, held: tuple[str, ...] = HELD, called: str = "wordllama") -> Path:
    """A bundle in which things stand at the four places, with a name of its encoder; it loads while the patch holds."""
    listed(patch)
    encoder = load_text_encoder("wordllama")
    prompts = ClassPrompts(WORDS, WORDS, encoder.embed(WORDS), called)
    method = Worded(CLASSES, False, prompts)
    with torch.no_grad():
        method.aligned.copy_(encoder.embed(held))
    save_bundle(path, NAME, {}, method, "# words\n", half=False)
    return path


def listed(patch) -> None:
    """Let configurations name the methods until the patch is undone."""
    patch.setitem(METHODS, NAME, (Worded.__module__, "Worded"))
    patch.setitem(METHODS, OPTIONAL, (OptionallyWorded.__module__, "OptionallyWorded"))
