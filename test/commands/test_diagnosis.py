# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor sees what is there, and names the mending command for what is not."""

import importlib.metadata
import subprocess
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
    monkeypatch.setattr(diagnosis.importlib.util, "find_spec", lambda name: None if name == "sklearn" else object())
    finding = diagnosis.check_devkit()
    assert finding.state == "missing"
    assert "no sklearn" in finding.found
    assert "numpy<2" in finding.mend
    monkeypatch.setattr(diagnosis.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "cv2", None)
    finding = diagnosis.check_devkit()
    assert finding.state == "missing"
    assert "cv2" in finding.found


def test_kernels_that_no_folder_keeps_name_the_variable(monkeypatch):
    monkeypatch.setattr(diagnosis, "kernel_folder", lambda: None)
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


@pytest.fixture
def installed(monkeypatch):
    """Makes distributions: name -> (version, what it asks for); others are not installed."""

    def make(**distributions):
        def requires(name):
            if name not in distributions:
                raise importlib.metadata.PackageNotFoundError(name)
            return distributions[name][1]

        monkeypatch.setattr(diagnosis.importlib.metadata, "requires", requires)
        monkeypatch.setattr(diagnosis, "version_of", lambda name: distributions.get(name, (None,))[0])

    return make


def test_a_torchvision_that_does_not_fit_is_found_without_importing_it(installed):
    asked = ["numpy", "torch==2.6.0", "gdown>=4.7; extra == 'gdown'", "tomli; python_version < '3'"]
    fits = {"numpy": ("1.26.4", []), "transformers": ("5.0", None), "torchvision": ("0.21.0+cpu", asked)}
    installed(torch=("2.7.1+cpu", []), **fits)
    finding = diagnosis.check_transformers()
    assert (finding.state, finding.mend) == ("broken", "pip uninstall torchvision")
    assert finding.found == "torchvision 0.21.0+cpu wants torch==2.6.0, 2.7.1+cpu is installed"
    installed(torch=("2.6.0+cu124", []), **fits)
    finding = diagnosis.check_transformers()
    assert (finding.state, finding.mend) == ("broken", "pip uninstall torchvision")
    assert "cpu and cu124" in finding.found
    installed(torch=("2.6.0+cpu", []), **fits)
    assert diagnosis.check_transformers() == diagnosis.Finding("transformers", "ok", "5.0")


def test_a_transformers_whose_packages_do_not_fit_is_broken(installed):
    installed(transformers=("5.0", ["tokenizers<=0.23,>=0.22"]), tokenizers=("0.24.1", []))
    finding = diagnosis.check_transformers()
    assert (finding.state, finding.mend) == ("broken", "pip install -U transformers")
    assert finding.found == "5.0 wants tokenizers<=0.23,>=0.22, 0.24.1 is installed"
    installed()
    assert diagnosis.check_transformers().mend == "pip install transformers"


def test_the_table_loads_no_model_and_little_else():
    """Each of these would cost more than the table may take, four seconds on an idle machine."""
    script = (
        "import sys\n"
        "heavy = {'transformers', 'nuscenes', 'sklearn', 'lightning', 'matplotlib'}\n"
        "from gsocc_core.commands.diagnosis import check_bundle, examine\n"
        "named = {f.name: f for f in examine()}\n"
        "print(named['model'].found)\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    model, heavy = done.stdout.splitlines()
    assert "--bundle synthetic-gaussianflowocc" in model
    assert heavy == "[]"
