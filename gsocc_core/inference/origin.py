# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Where the weights of a bundle come from that others published: whose they are, and what they were fitted to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """What users of others' weights must know.

    Attributes:
        system: Name of the published model.
        source: Name of its file or folder, and where its authors put it.
        licence: As its authors state it.
        licence_id: The same as the front matter of a Hugging Face model card spells it; ``other`` for what has no name.
        trained_on: Data, and what supervised the training.
        pictures: Size of the pictures, how they get it, and how colours are normalised.
        voxels: Grid, classes in the order of their ids, and the rule that makes labels.
        published: Scores that its authors print.
        notes: What else to know before using it.
    """

    system: str
    source: str
    licence: str
    licence_id: str
    trained_on: str
    pictures: str
    voxels: str
    published: str
    notes: tuple[str, ...] = ()

    def told(self) -> str:
        """Lines for a terminal: system, licence, training data, rule and notes."""
        rows = [
            ("system", self.system), ("licence", self.licence), ("trained on", self.trained_on),
            ("pictures", self.pictures), ("voxels", self.voxels), ("published", self.published),
            *(("note", note) for note in self.notes),
        ]  # fmt: skip
        return "\n".join(f"{key + ':':<12}{text}" for key, text in rows)

    def markdown(self) -> str:
        """The same for a model card."""
        rows = [
            ("Weights", f"{self.system}, {self.source}"), ("Licence", self.licence), ("Trained on", self.trained_on),
            ("Pictures", self.pictures), ("Voxels", self.voxels),
            ("Scores printed by its authors, not measured here", self.published),
        ]  # fmt: skip
        return "\n".join(f"* {key}: {text}" for key, text in [*rows, *(("Note", note) for note in self.notes)])
