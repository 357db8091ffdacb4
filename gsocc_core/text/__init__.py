# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Words to embeddings: encoders of text, and the words that stand for each class."""
