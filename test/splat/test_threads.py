# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The door of the parallel kernels: thread counts, and shares of equal cost."""

import numba
import numpy as np
import pytest
import torch

from gsocc_core.splat.threads import balanced_order, parallel_kernels


def test_the_smaller_of_both_thread_counts_holds_inside_and_the_old_one_after():
    before_numba, before_torch = numba.get_num_threads(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with parallel_kernels() as threads:
            assert threads == numba.get_num_threads() == 1
            with parallel_kernels():  # the lock lets its own thread in again
                pass
        with pytest.raises(ValueError, match="inside"), parallel_kernels():
            raise ValueError("inside")
        assert numba.get_num_threads() == before_numba
    finally:
        torch.set_num_threads(before_torch)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_balanced_order_is_a_permutation_whose_shares_cost_about_the_same(threads):
    costs = np.random.default_rng(0).pareto(1.5, 300)
    order = balanced_order(costs, threads)
    assert sorted(order) == list(range(300))
    shares = [costs[part].sum() for part in np.array_split(order, threads)]
    assert max(shares) - min(shares) <= costs.max() + 1e-9
