# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Files that are no checkpoint, or wrapped, or halved: each is read or told in one line, and nothing stays behind."""

import argparse
import os
import sys
import types

import pytest
import torch
from published_files import random_numbers
from published_gausstr import MODEL, checkpoint

from gsocc_core.commands.cli import main
from gsocc_core.errors import BundleError, OutputExistsError
from gsocc_core.importers.checkpoint_files import read_weights
from gsocc_core.importers.gausstr import import_gausstr
from gsocc_core.inference.bundle import load_bundle


class Runs:
    """A pickle that would run a command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def _truncated(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 754712910\n".format("0" * 64)
#: What is written to the file, and what is said of it.
BAD = {
    "full model": (
        lambda p: torch.save(torch.nn.Linear(2, 2), p),
        r"runs torch\.nn\.modules\.linear\.Linear.*state_dict",
    ),
    "runs a command": (lambda p: torch.save({"a": Runs(p.with_name("ran"))}, p), r"runs posix\.system|system"),
    "optimiser": (
        lambda p: torch.save(torch.optim.Adam(torch.nn.Linear(2, 2).parameters()).state_dict(), p),
        "expected weights of GaussTR, received the state of an optimiser",
    ),
    "another method": (
        lambda p: torch.save({"state_dict": {f"tpv_head.{i}.weight": torch.zeros(3) for i in range(9)}}, p),
        r"9 tensors such as tpv_head\.0\.weight",
    ),
    "no tensors": (lambda p: torch.save({"epoch": 3}, p), "tensors of GaussTR by name, received epoch"),
    "a list": (lambda p: torch.save([torch.zeros(2)], p), "received list"),
    "LFS pointer": (lambda p: p.write_text(POINTER), r"a Git LFS pointer for 754,712,910 bytes.*git lfs pull"),
    "web page": (lambda p: p.write_text("<!DOCTYPE html><title>Download</title>"), "received a web page"),
    "truncated": (lambda p: (torch.save({"a": torch.zeros(999)}, p), _truncated(p)), "ends early.*download it again"),
    "truncated old format": (
        lambda p: (torch.save({"a": torch.zeros(999)}, p, _use_new_zipfile_serialization=False), _truncated(p)),
        "received a damaged file",
    ),
    "empty": (lambda p: p.write_bytes(b""), "received a damaged file"),
    "text": (lambda p: p.write_text("hello"), "received a damaged file"),
    "a folder": (lambda p: p.mkdir(), "received a folder"),
    "nothing": (lambda p: None, "received no such file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_checkpoint_is_told_in_one_line(kind, tmp_path, capsys):
    write, message = BAD[kind]
    path = tmp_path / "theirs.pth"
    write(path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BundleError, match=message):
        import_gausstr(path, tmp_path / "bundle")
    with pytest.raises(SystemExit) as stopped:
        main(["import", "gausstr", str(path), "--out", str(tmp_path / "bundle")])
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert str(path) in told
    assert sorted(tmp_path.iterdir()) == before, "nothing was written, and nothing of the file ran"


CHANGES = {
    "missing": (lambda w: w.pop("decoder.norm.bias"), r"decoder\.norm\.bias: expected a tensor of GaussTR.*no such"),
    "unknown": (lambda w: w.update(extra=torch.zeros(2)), "extra: expected only tensors of GaussTR.*unknown"),
    "another size": (
        lambda w: w.update({"query_embeds.weight": torch.zeros(9, 16)}), r"query_embeds\.weight: expected \(30, 16\)",
    ),
    "not finite": (
        lambda w: w["decoder.norm.bias"].fill_(float("nan")), r"decoder\.norm\.bias: expected finite.*16 NaN",
    ),
    "no words": (
        lambda w: [w.pop(f"gauss_heads.{i}.text_proto_embeds") for i in range(2)], "expected a text matrix",
    ),
    "other words": (
        lambda w: w.update({"gauss_heads.1.text_proto_embeds": torch.zeros(8, 20)}), "a column for each word",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_tensors_that_do_not_fit_are_named(change, tmp_path):
    edit, message = CHANGES[change]
    tensors = checkpoint("featup")
    edit(tensors)
    torch.save(tensors, tmp_path / "theirs.pth")
    with pytest.raises(BundleError, match=message):
        import_gausstr(tmp_path / "theirs.pth", tmp_path / "bundle", model=MODEL["featup"])
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.pth"]


def test_the_voxelizer_may_be_there_or_not(tmp_path):
    tensors = {name: value for name, value in checkpoint("featup").items() if "voxelizer" not in name}
    torch.save(tensors, tmp_path / "theirs.pth")
    import_gausstr(tmp_path / "theirs.pth", tmp_path / "bundle", model=MODEL["featup"])
    with pytest.raises(OutputExistsError):
        import_gausstr(tmp_path / "nowhere.pth", tmp_path / "bundle")


def test_prefixes_shelves_and_half_precision_are_taken(tmp_path):
    tensors = checkpoint("featup")
    for shelf, prefix in (("state_dict", "module."), ("state_dict", "model."), ("model", "model.module.")):
        torch.save({shelf: {f"{prefix}{name}": value for name, value in tensors.items()}}, tmp_path / "theirs.pth")
        assert read_weights(tmp_path / "theirs.pth", "GaussTR").tensors.keys() == tensors.keys()
    halves = {f"module.{name}": value.half() for name, value in tensors.items()}
    torch.save({"state_dict": halves, "pytorch-lightning_version": "2.1"}, tmp_path / "theirs.pth")
    import_gausstr(tmp_path / "theirs.pth", tmp_path / "bundle", model=MODEL["featup"])
    norm = load_bundle(tmp_path / "bundle").method.decoder.norm
    assert norm.bias.dtype == torch.float32
    assert torch.equal(norm.bias, tensors["decoder.norm.bias"].half().float())


def test_what_trainers_write_beside_weights_is_passed_over(tmp_path, monkeypatch):
    """mmengine pickles its history of losses, with NumPy arrays, into every checkpoint."""
    import numpy as np

    package = "mmengine.logging.history_buffer"
    module = types.ModuleType(package)
    module.HistoryBuffer = type("HistoryBuffer", (), {"__module__": package})
    for name in ("mmengine", "mmengine.logging", package):
        monkeypatch.setitem(sys.modules, name, module)
    buffer = module.HistoryBuffer()
    buffer.history, buffer.last = np.arange(5.0), np.float64(3.0)
    tensors = random_numbers({"a.weight": (3, 2)})
    hub = {"log_scalars": {"train/loss": buffer}, "args": argparse.Namespace(lr=1)}
    torch.save({"state_dict": tensors, "message_hub": hub, "meta": {"epoch": 24}}, tmp_path / "theirs.pth")
    monkeypatch.delitem(sys.modules, package)
    before = set(torch.serialization.get_safe_globals())
    found = read_weights(tmp_path / "theirs.pth", "GaussTR").tensors
    assert torch.equal(found["a.weight"], tensors["a.weight"])
    assert set(torch.serialization.get_safe_globals()) == before
