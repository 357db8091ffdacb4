# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Constants of the compositing rules; the values are gsplat's, so that every backend draws the same picture."""

from __future__ import annotations

#: Added to both diagonal entries of the projected covariance, square pixels (Kerbl et al. 2023, low-pass filter).
LOW_PASS_PX2 = 0.3
#: Largest opacity of one Gaussian in one pixel.
MAX_ALPHA = 0.999
#: A Gaussian leaves out the pixels in which it is fainter than this.
MIN_ALPHA = 1.0 / 255.0
#: A Gaussian that would bring the transmittance to this or below is not drawn any more, nor is any behind it.
MIN_TRANSMITTANCE = 1e-4
#: Outside the picture by more than this share of it, the projection's Jacobian is taken at the border instead.
JACOBIAN_MARGIN = 0.15
