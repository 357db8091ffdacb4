# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Precision, compilation and recording of the network, as far as a CPU can show them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from gsocc_core import OCC3D_NUSCENES, OccupancyPredictor
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.errors import ConfigError
from gsocc_core.inference import running
from gsocc_core.inference.bundle import load_bundle, save_bundle
from gsocc_core.inference.options import InferenceOptions, chosen_options
from gsocc_core.inference.recording import KEPT, RecordedCalls
from gsocc_core.inference.running import NetworkRunner
from gsocc_core.inference.stages import CudaClock, stage_clock
from gsocc_core.methods.build import build_method
from gsocc_core.networks.fixed_sizes import sizes_are_fixed
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_core.synthetic.synthesize import synthesize

from ..conftest import TINY_MODEL  # noqa: TID252 - tests are no package, the fixtures' constants live beside them

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "plain_street"
GRAPH = InferenceOptions(cuda_graph=True)


def example_pictures():
    cameras = CameraRig.load(EXAMPLE / "rig.yaml").cameras
    pictures = []
    for camera in cameras:
        with Image.open(EXAMPLE / "pictures" / f"{camera.name}.jpg") as picture:
            pictures.append(np.asarray(picture.convert("RGB")))
    return pictures, cameras


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """Predicts from a key frame of the world that the demo model was trained on, from a drive that it never saw."""
    root = tmp_path_factory.mktemp("street") / "drive"
    synthesize(root, seed=2, image_scale=0.16, sweeps=False, duration_s=0.6, pseudo_labels=False)
    args = DataArgs(str(root), "v1.0-synthetic", "train", occ3d_dir=None, depth_dir=None, semantics_dir=None, views=1)
    return lambda predictor: predictor.predict_frames(NuScenesOccupancy(args, predictor.image_size)[0])


@pytest.mark.parametrize(
    ("bundle", "precision", "least"),
    [
        ("synthetic-gaussianflowocc", "float16", 0.999),
        # Its Gaussians stand where probabilities of distances say: eight bits move some by a voxel.
        ("synthetic-gaussianflowocc", "bfloat16", 0.99),
        ("plain-gausstr", "float16", 0.999),
        # Its boxes end at whole voxels, and a prompt counts everywhere or nowhere: eight bits decide some otherwise.
        ("plain-gausstr", "bfloat16", 0.998),
    ],
)
def test_precisions_give_the_same_labels(bundle, precision, least, street):
    pictures, cameras = example_pictures()
    labels = {}
    for name in ("float32", precision):
        predictor = OccupancyPredictor.load(ROOT / "bundles" / bundle, "cpu", options=InferenceOptions(name))
        inside = []
        for module in predictor.method.modules():
            if module.__class__.__name__ in ("ResNetBackbone", "EfficientNetLite"):
                module.register_forward_hook(lambda *call, seen=inside: seen.append(call[-1].feature_maps[0].dtype))
        found = street(predictor) if bundle.startswith("synthetic") else predictor.predict(pictures, cameras)
        assert inside == [getattr(torch, name)]
        assert all(t.dtype == torch.float32 for t in vars(found.scene).values() if t is not None)
        labels[name] = found.grid.labels
    assert (labels["float32"] != predictor.classes.free_id).float().mean() > 0.05, "there is something to compare"
    equal = (labels["float32"] == labels[precision]).float().mean()
    assert least <= equal < 1


def test_a_bundle_says_how_it_is_run_on_a_gpu_and_its_user_wins(tiny_bundle, tmp_path):
    bundle = load_bundle(tiny_bundle)
    copy, options = tmp_path / "copy", InferenceOptions("bfloat16", cuda_graph=True)
    save_bundle(copy, bundle.method_name, bundle.arguments, bundle.method, "# tiny\n", inference=options)
    read = load_bundle(copy)
    assert read.inference == options
    assert bundle.inference is None
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert chosen_options(None, options, read.method, gpu) == options
    assert chosen_options(InferenceOptions("float16", True, False), options, read.method, gpu) == InferenceOptions(
        "float16", True, False
    )
    assert chosen_options(None, options, read.method, cpu) == InferenceOptions()
    assert OccupancyPredictor(read, "cpu").options == InferenceOptions()
    config = yaml.safe_load((copy / "config.yaml").read_text())
    for part, told in (("fast", "inference: expected a mapping"), ({"precision": "half"}, r"inference\.precision")):
        (copy / "config.yaml").write_text(yaml.safe_dump(config | {"inference": part}))
        with pytest.raises(ConfigError, match=told):
            load_bundle(copy)


def test_what_cannot_be_is_refused_before_anything_runs(tiny_bundle):
    with pytest.raises(ConfigError, match="cuda_graph: expected false, or device cuda, received device cpu"):
        OccupancyPredictor.load(tiny_bundle, "cpu", options=GRAPH)
    with pytest.raises(ConfigError, match="precision: expected one of float32, bfloat16, float16, received 'half'"):
        InferenceOptions("half")
    method = load_bundle(tiny_bundle).method
    method.RECORDABLE = False
    with pytest.raises(ConfigError, match="depends on what the pictures show, received GaussianFlowOcc"):
        chosen_options(GRAPH, None, method, torch.device("cuda"))


# ---- recording, with a stand-in that computes again into the same memory ---------------------------------------------


class Again:
    """Records as a CUDA graph does: the same tensors are filled by every replay."""

    def __init__(self):
        self.recorded = 0

    def __call__(self, call):
        self.recorded += 1
        result = call()
        return lambda: self.fill(result, call()), result

    def fill(self, held, new):
        for name, value in vars(held.scene).items():
            if value is not None:
                value.copy_(getattr(new.scene, name))
        for name, value in vars(held.memory).items():
            if isinstance(value, torch.Tensor):
                value.copy_(getattr(new.memory, name))


@pytest.fixture
def streaming(tmp_path, monkeypatch):
    """A predictor whose network is recorded, and one whose network is not."""
    model = {**TINY_MODEL, "memory": {"carried": 20}, "flow": {"hidden": 16, "layers": 2}}
    torch.manual_seed(0)
    method = build_method("gaussianflowocc", model, OCC3D_NUSCENES.with_channels(range(1, 17)), pretrained=False)
    save_bundle(tmp_path / "streaming", "gaussianflowocc", model, method, "# streaming\n")
    plain, recorded = (OccupancyPredictor.load(tmp_path / "streaming", "cpu") for _ in range(2))
    again = Again()
    monkeypatch.setattr(running, "record_cuda_graph", again)
    recorded._network, recorded.options = NetworkRunner(recorded.method, GRAPH), GRAPH
    return plain, recorded, again


def test_a_recorded_stream_gives_what_the_network_gives(streaming):
    plain, recorded, again = streaming
    pictures, cameras = example_pictures()
    kept = []
    for step in range(4):
        shown = [np.roll(picture, 7 * step, axis=1) for picture in pictures]
        pose = np.eye(4)
        pose[0, 3] = 0.8 * step
        now = {"reference_stamp_ns": 10**9 + step * 500_000_000, "T_world_ego": pose}
        expected, found = plain.predict(shown, cameras, **now), recorded.predict(shown, cameras, **now)
        for field in ("means", "features", "velocities"):
            torch.testing.assert_close(
                getattr(found.scene, field), getattr(expected.scene, field), rtol=1e-3, atol=1e-4
            )
        kept.append((found.scene.features, found.scene.features.clone()))
    assert again.recorded == 3, "without a memory, with a first one, and with one that carries Gaussians on"
    assert all(torch.equal(held, copy) for held, copy in kept), "a replay writes into no earlier result"
    assert not torch.equal(kept[0][1], kept[1][1][: len(kept[0][1])])


def test_warm_up_records_what_comes(streaming):
    _, recorded, again = streaming
    pictures, cameras = example_pictures()
    plain = [replace(camera, distortion=None, model="pinhole") for camera in cameras]
    recorded.warm_up(len(cameras))
    before = again.recorded
    assert before == 5, "two without a pose, whose memory is of no use, and three in motion"
    for step in range(3):
        recorded.predict(pictures, plain, reference_stamp_ns=10**9 * (step + 1), T_world_ego=np.eye(4))
    recorded.reset()
    recorded.predict(pictures, plain)
    assert again.recorded == before


def test_a_recording_is_kept_for_each_of_the_last_kinds():
    made = []

    def record(call):
        result = call()
        made.append(tuple(result.shape))
        return lambda: result.copy_(call()), result

    calls = RecordedCalls(lambda x: x + 1, record)
    for size in (*range(1, KEPT + 2), KEPT + 1, 1):
        assert calls(torch.full((size,), 4.0)).tolist() == [5.0] * size
    assert made == [*((size,) for size in range(1, KEPT + 2)), (1,)]


# ---- compiling -------------------------------------------------------------------------------------------------------


def test_a_network_is_compiled_at_fixed_sizes(tiny_bundle, monkeypatch):
    seen = []

    def compiled(method, dynamic):
        assert not dynamic
        return lambda frames, memory: seen.append((sizes_are_fixed(), frames.scene_names)) or method(frames, memory)

    monkeypatch.setattr(torch, "compile", compiled)
    pictures, cameras = example_pictures()
    predictor = OccupancyPredictor.load(tiny_bundle, "cpu", options=InferenceOptions(compile=True))
    plain = OccupancyPredictor.load(tiny_bundle, "cpu")
    found, expected = predictor.predict(pictures, cameras), plain.predict(pictures, cameras)
    assert seen == [(True, ())]
    assert (found.grid.labels == expected.grid.labels).float().mean() > 0.999


def test_a_machine_that_cannot_compile_is_told(tiny_bundle, monkeypatch):
    def fails(*_, **__):
        raise torch._dynamo.exc.TorchDynamoException("\nInvalidCxxCompiler: No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: fails)
    predictor = OccupancyPredictor.load(tiny_bundle, "cpu", options=InferenceOptions(compile=True))
    with pytest.raises(ConfigError, match=r"compile: .*received InvalidCxxCompiler: No working C\+\+ compiler"):
        predictor.warm_up(1)


@pytest.mark.slow
def test_a_really_compiled_network_gives_the_same(tiny_bundle):
    """Traced and run without a compiler of machine code, which not every machine has."""
    pictures, cameras = example_pictures()
    predictor = OccupancyPredictor.load(tiny_bundle, "cpu", options=InferenceOptions(compile=True))
    predictor._network._run = torch.compile(predictor.method, dynamic=False, backend="eager")
    found = [predictor.predict(pictures, cameras).grid.labels for _ in range(2)]
    expected = OccupancyPredictor.load(tiny_bundle, "cpu").predict(pictures, cameras).grid.labels
    assert all((labels == expected).float().mean() > 0.999 for labels in found)


# ---- clocks ----------------------------------------------------------------------------------------------------------


def test_a_gpu_is_waited_for_once_and_its_events_tell_stages_apart(monkeypatch):
    happened = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self, stream):
            self.at = 10.0 * len(happened)
            happened.append("record")

        def synchronize(self):
            happened.append("synchronize")

        def elapsed_time(self, other):
            return other.at - self.at

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    monkeypatch.setattr("time.perf_counter", lambda: 3.0)
    clock = stage_clock(2.9, torch.device("cuda"))
    assert isinstance(clock, CudaClock)
    for stage in ("preprocess", "network", "splat"):
        clock.mark(stage)
    assert clock.finish() == pytest.approx({"preprocess": 80.0, "network": 10.0, "splat": 10.0, "total": 100.0})
    assert happened == ["record"] * 3 + ["synchronize"]
