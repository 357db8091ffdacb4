# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a CUDA graph can hold: networks that neither read from the device nor upload to it. Shown without a GPU, on the
meta device, which holds no numbers to read."""

from dataclasses import replace

import pytest
import tiny_hosts
import torch
from test_streaming import at, pose
from test_streaming import build as build_flow
from tiny_frames import BACKBONE, frames
from tiny_gaussianocc import build as build_gaussianocc
from tiny_gausstr import batch
from tiny_gausstr import build as build_gausstr
from torch.overrides import TorchFunctionMode

from gsocc_core.geometry.constants import constant
from gsocc_core.methods.build import METHODS, method_class
from gsocc_core.methods.gaussianflowocc_args import MemoryArgs
from gsocc_core.methods.gausstr_args import DepthArgs
from gsocc_core.methods.method import Method
from gsocc_core.networks.fixed_sizes import fixed_sizes, seen_first, sizes_are_fixed
from gsocc_core.networks.flow import FlowArgs

#: Make tensors of numbers that the host has, or wait for the device to tell whether they succeeded.
REFUSED = (
    torch.tensor,
    torch.as_tensor,
    torch.from_numpy,
    torch.Tensor.new_tensor,
    torch.linalg.inv,
    torch.linalg.solve,
)


class NoUploads(TorchFunctionMode):
    """Fails where something is brought to a device that other tensors are on already."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        moved = function in {torch.Tensor.to, torch.Tensor.type_as} and result.device != args[0].device
        assert function not in REFUSED, f"{function} in a forward pass"
        assert not moved, "an upload in a forward pass"
        return result


def run_twice(method, given, memory=None):
    """The second pass finds all constants uploaded; reading a number of the meta device raises."""
    method, given = method.to("meta").eval(), given.to("meta")
    memory = None if memory is None else memory.map(lambda t: t.to("meta"))
    given = replace(given, targets=None, scene_names=())
    with torch.inference_mode(), fixed_sizes():
        method(given, memory)
        with NoUploads():
            return method(given, memory)


def gausstr():
    return build_gausstr(backbone=replace(BACKBONE, out_indices=(2,)), depth=DepthArgs(source="head"))


RECORDABLE = {
    "gaussianflowocc": lambda: (build_flow(), frames(b=1)),
    "gaussianocc": lambda: (build_gaussianocc(), frames(b=1)),
    "gausstr": lambda: (gausstr(), batch(b=1)),
    "gausstr with given depth and features": lambda: (build_gausstr(), batch(b=1)),
    "symphonies": lambda: (tiny_hosts.build("symphonies"), frames(b=1)),
    "surroundocc": lambda: (tiny_hosts.build("surroundocc"), frames(b=1)),
    "tpvformer": lambda: (tiny_hosts.build("tpvformer"), frames(b=1)),
}


@pytest.mark.parametrize("name", RECORDABLE)
def test_recordable_networks_neither_read_nor_upload(name):
    method, given = RECORDABLE[name]()
    assert method.RECORDABLE
    assert run_twice(method, given) is not None


@pytest.mark.parametrize("args", [MemoryArgs(), MemoryArgs(carried=20)])
def test_so_do_streams_with_memory_and_flow(args):
    method = build_flow(args, FlowArgs(hidden=16, layers=2))
    memory = method(at(0.0, pose())).memory
    found = run_twice(method, at(0.5, pose(1.0)), replace(memory, scene_names=()))
    assert found.scene.velocities.device.type == "meta"


def test_every_method_that_says_so_is_tested():
    said = {name for name in METHODS if getattr(method_class(name, "test"), "RECORDABLE", False)}
    assert said == {name.split()[0] for name in RECORDABLE}
    assert not Method.RECORDABLE


def test_without_fixed_sizes_the_meta_device_tells_what_is_read():
    method = build_flow().to("meta")
    with torch.inference_mode(), pytest.raises((RuntimeError, NotImplementedError)):
        method(replace(frames(b=1), targets=None).to("meta"))


@pytest.mark.parametrize("args", [None, MemoryArgs(), MemoryArgs(carried=20)])
def test_fixed_sizes_change_no_result(args):
    method = build_flow(args, FlowArgs(hidden=16, layers=2))
    now = at(0.5, pose(1.0, 0.3), seed=1)
    memory = None if args is None else method(at(0.0, pose())).memory
    plain = method(now, memory)
    with fixed_sizes():
        fixed = method(now, memory)
    assert not sizes_are_fixed()
    for field in ("means", "features", "opacities", "velocities"):
        torch.testing.assert_close(getattr(fixed.scene, field), getattr(plain.scene, field), rtol=1e-4, atol=1e-5)


def test_a_memory_that_is_too_old_is_not_read_at_fixed_sizes_either():
    method = build_flow(MemoryArgs(carried=20))
    memory, late = method(at(0.0, pose())).memory, at(9.0, pose(1.0), seed=1)
    with fixed_sizes():
        masked = method(late, memory).scene
    alone = method(late).scene
    count = alone.means.shape[1]
    torch.testing.assert_close(masked.features[:, :count], alone.features, rtol=1e-4, atol=1e-4)
    assert masked.opacities[:, count:].sum() == 0


def test_lists_are_padded_to_the_longest_or_to_the_largest():
    seen = torch.tensor([[False, True, False, True], [False, False, False, True]])
    assert seen_first(seen).tolist() == [[1, 3], [3, 0]]
    assert seen_first(seen & False).shape == (2, 1)
    with fixed_sizes():
        assert seen_first(seen).tolist() == [[1, 3, 0, 2], [3, 0, 1, 2]]


def test_a_constant_that_inference_made_serves_a_training():
    with torch.inference_mode():
        constant((3.25, 4.5), torch.zeros(1))
    weight = torch.ones(2, requires_grad=True)
    (weight * constant((3.25, 4.5), torch.zeros(1))).sum().backward()
    assert weight.grad.tolist() == [3.25, 4.5]
