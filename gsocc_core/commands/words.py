# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Commands around words."""

from __future__ import annotations


def text(
    words: tuple[str, ...] = (),
    prompts: str | None = None,
    classes: str | None = None,
    encoder: str = "wordllama",
    out: str | None = None,
) -> None:
    """Show which words a text encoder holds for alike, or embed the words of classes.

    With words, the nearest of each are printed: among the others, or among the class prompts of ``prompts``. With
    ``out``, class prompts are written: those of ``prompts``, or each word as a class of its own name.

    Args:
        words: Phrases to compare: `text automobile car "traffic cone"`.
        prompts: Class prompts: a YAML file such as config/prompts/plain.yaml, or a .safetensors file of this command.
        classes: YAML class table that the names of classes must be in, such as gts/classes.yaml of a tree or the
            classes.yaml of a bundle; None = they are checked where the prompts are used.
        encoder: wordllama, clip:MODEL or talk2dino:MODEL:PROJECTION.safetensors, where MODEL is a folder or hub id.
        out: File of class prompts to write, such as prompts.safetensors.
    """
    from gsocc_core.errors import ConfigError
    from gsocc_core.geometry.classes import ClassTable
    from gsocc_core.text.class_prompts import embed_words, load_class_prompts
    from gsocc_core.text.compare import nearest_words
    from gsocc_core.text.encoder import load_text_encoder

    if not words and (prompts is None or out is None):
        raise ConfigError("text", "words", "words to compare, or --prompts with --out", "neither")
    if words and prompts is not None and out is not None:
        raise ConfigError("text", "out", "null, where words are compared with prompts", out)
    table = None if classes is None else ClassTable.from_yaml(classes)
    found = None if prompts is None else load_class_prompts(prompts, table, encoder)
    if out is None:
        print(nearest_words(words, load_text_encoder(encoder), found))
        return
    made = found or embed_words(words, load_text_encoder(encoder))
    if table is not None:
        made.class_ids(table)
    made.save(out)
    print(f"{out}: {made.described()}")
