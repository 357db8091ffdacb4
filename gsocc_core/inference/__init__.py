# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Using a trained model: its bundle on disk, its card, the predictor."""
