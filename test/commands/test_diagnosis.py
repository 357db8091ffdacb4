# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor sees what is there, and names the mending command for what is not."""

import sys

import pytest

from gsocc_core.commands import diagnosis
from gsocc_core.commands.cli import main


def test_this_machine_is_well(tiny_bundle, capsys, monkeypatch):
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    main(["doctor", "--bundle", str(tiny_bundle)])
    text = capsys.readouterr().out
    assert "loads and predicts" in text
    assert "broken" not in text
    for name in (
        "Python",
        "PyTorch",
        "GPU",
        "NumPy",
        "viewer",
        "numba",
        "Triton",
        "gsplat",
        "nuscenes-devkit",
        "rosbags",
        "ROS 2",
    ):
        assert name in text


def test_a_broken_model_is_told_and_fails(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["doctor", str(tmp_path)])
    assert stop.value.code == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("broken"))
    assert "config.yaml" in line


def test_missing_parts_come_with_their_command(monkeypatch):
    monkeypatch.setattr(diagnosis, "version_of", lambda package: None)
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setitem(sys.modules, "rclpy", None)
    findings = {f.name: f for f in (diagnosis.check_devkit(), diagnosis.check_rosbags(), diagnosis.check_ros())}
    assert (findings["nuscenes-devkit"].state, findings["rosbags"].state) == ("missing", "broken")
    assert "rclpy" in findings["ROS 2"].found
    text = diagnosis.table(list(findings.values()))
    assert text.count("->") == 3
    assert "system-site-packages" in text


def test_each_part_of_the_viewer_is_told_apart(monkeypatch):
    monkeypatch.setattr(diagnosis, "version_of", lambda package: None if package == "imageio-ffmpeg" else "1.1")
    finding = diagnosis.check_viewer()
    assert (finding.state, finding.mend) == ("missing", "pip install viser imageio-ffmpeg")
    assert "MP4" in finding.found
    assert "web page" not in finding.found
    monkeypatch.setattr(diagnosis, "version_of", lambda package: "1.1")
    assert diagnosis.check_viewer().state == "ok"


def test_a_devkit_that_cannot_be_imported_is_missing(monkeypatch):
    monkeypatch.setattr(diagnosis, "version_of", lambda package: "1.2.0")
    monkeypatch.setitem(sys.modules, "nuscenes.nuscenes", None)
    finding = diagnosis.check_devkit()
    assert finding.state == "missing"
    assert "numpy<2" in finding.mend


def test_kernels_that_no_folder_keeps_name_the_variable(monkeypatch):
    monkeypatch.setattr(diagnosis, "kept_on_disk", lambda: False)
    finding = diagnosis.check_numba()
    assert finding.state == "missing"
    assert "NUMBA_CACHE_DIR" in finding.mend


def test_numpy_2_says_what_it_excludes(monkeypatch):
    monkeypatch.setattr(diagnosis, "version_of", lambda package: "2.4.1")
    assert "nuscenes-devkit" in diagnosis.check_numpy().found
    monkeypatch.setattr(diagnosis, "version_of", lambda package: "1.26.4")
    assert diagnosis.check_numpy().found == "1.26.4"


def test_a_gpu_without_its_parts(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(diagnosis, "version_of", lambda package: None)
    assert diagnosis.check_triton().mend == "pip install triton"
    assert diagnosis.check_gsplat().state == "missing"
    monkeypatch.setattr(diagnosis, "version_of", lambda package: "1.5.3")
    monkeypatch.setattr(diagnosis.shutil, "which", lambda name: None)
    monkeypatch.delenv("CUDA_HOME", raising=False)
    assert "nvcc" in diagnosis.check_gsplat().found


def test_a_torchvision_that_does_not_fit_is_found(monkeypatch):
    def broken(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(diagnosis.importlib, "import_module", broken)
    monkeypatch.setattr(diagnosis, "version_of", lambda package: "0.1")
    finding = diagnosis.check_transformers()
    assert (finding.state, finding.mend) == ("broken", "pip uninstall torchvision")
