# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Lovasz-softmax: against the Jaccard loss that it extends, and the CPU kernel against PyTorch in float64."""

import itertools

import pytest
import torch

from gsocc_core.losses.lovasz import lovasz_softmax


def jaccard_loss(target: torch.Tensor, predicted: torch.Tensor, c: int) -> float:
    t, p = target == c, predicted == c
    return 1 - (t & p).sum().item() / (t | p).sum().item()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_it_equals_the_jaccard_loss_on_hard_predictions(dtype):
    """The Lovasz extension interpolates the set function, so on 0/1 predictions it is the Jaccard loss itself."""
    for target, predicted in itertools.product(itertools.product(range(3), repeat=4), repeat=2):
        if predicted[0] != 0:
            continue  # a third of all pairs is plenty
        t, p = torch.tensor(target), torch.tensor(predicted)
        probabilities = torch.nn.functional.one_hot(p, 3).to(dtype)
        expected = sum(jaccard_loss(t, p, c) for c in set(target)) / len(set(target))
        assert lovasz_softmax(probabilities, t).item() == pytest.approx(expected, abs=1e-7)


def test_value_and_gradient_are_those_of_float64():
    """One class is absent, one rare; some errors are as small as float32 has them, some exactly 0 and 1."""
    torch.manual_seed(0)
    single = (torch.randn(3000, 5) * 4).softmax(-1)
    single[:5], single[5] = torch.eye(5), torch.tensor([1e-30, 1e-38, 0.0, 0.9, 0.1])
    target = torch.randint(0, 4, (3000,))
    target[target == 1] = 0
    target[:2] = 1
    exact = single.double().requires_grad_()
    single.requires_grad_()
    expected, found = lovasz_softmax(exact, target), lovasz_softmax(single, target)
    (3 * expected).backward()
    (3 * found).backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    clear = (exact.detach() - 0.5).abs() < 0.5 - 1e-5  # errors that are equal in float32 may share their slopes anyhow
    torch.testing.assert_close(single.grad.double()[clear], exact.grad[clear], rtol=1e-4, atol=1e-7)
    assert not single.grad[:, 4].any()


def test_its_gradient_lowers_it():
    torch.manual_seed(0)
    logits = torch.randn(50, 4, requires_grad=True)
    target = torch.randint(0, 4, (50,))
    loss = lovasz_softmax(logits.softmax(-1), target)
    loss.backward()
    with torch.no_grad():
        better = lovasz_softmax((logits - 5 * logits.grad).softmax(-1), target)
    assert better < loss
    assert lovasz_softmax(logits[:0].softmax(-1), target[:0]).item() == 0
