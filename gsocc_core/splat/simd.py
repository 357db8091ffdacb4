# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Eight-lane float32 operations for numba kernels.

numba's loop vectoriser needs long loops; a row of 18 class channels is three registers. The operations on blocks of
eight floats are written as LLVM vectors, which every CPU has or LLVM splits (AVX: one register, SSE and NEON: two).

numba's disk cache notices changes of a kernel's own file only: after an edit here, touch the files of the kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.types.containers import UniTuple
from numba.extending import intrinsic

from gsocc_core.compiling import kernel

#: Floats in one block.
LANES = 8
#: Floats in a half block, for rows that are no multiple of eight.
HALF = 4

FAST = ("contract", "reassoc", "nsz")


def load(context: Any, builder: Any, array_type: Any, array: Any, row: Any, column: Any, lanes: int) -> Any:
    """Pointer to, and value of, floats of a C-contiguous (rows, columns) array."""
    struct = context.make_array(array_type)(context, builder, array)
    _, columns = cgutils.unpack_tuple(builder, struct.shape, 2)
    offset = builder.add(builder.mul(row, columns), column)
    vector = ir.VectorType(ir.FloatType(), lanes)
    pointer = builder.bitcast(builder.gep(struct.data, [offset]), vector.as_pointer())
    # Old and new llvmlite differ in whether a load can read its type off the pointer.
    try:
        value = builder.load(pointer, align=4, typ=vector)
    except TypeError:
        value = builder.load(pointer, align=4)
    return pointer, value


def spread(builder: Any, scale: Any, lanes: int) -> Any:
    """A vector of equal numbers."""
    vector = ir.VectorType(ir.FloatType(), lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scale, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(first, first, zeros)


def sum_of(builder: Any, vector: Any, lanes: int) -> Any:
    """Sum of the floats of a vector."""
    while lanes > 1:
        lanes //= 2
        low, high = (
            ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(start, start + lanes))) for start in (0, lanes)
        )
        halves = (builder.shuffle_vector(vector, vector, part) for part in (low, high))
        vector = builder.fadd(*halves, flags=FAST)
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


def is_matrix(array: Any) -> bool:
    """Whether a type is that of a gapless float32 matrix."""
    return isinstance(array, types.Array) and array.ndim == 2 and array.layout == "C" and array.dtype == types.float32


def _add_scaled(lanes: int) -> Any:
    @intrinsic
    def add(typing_context: Any, y: Any, y_row: Any, x: Any, x_row: Any, column: Any, scale: Any) -> Any:  # noqa: ARG001
        if not (is_matrix(y) and is_matrix(x)):
            return None

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer, y_value = load(context, builder, signature.args[0], args[0], args[1], args[4], lanes)
            _, x_value = load(context, builder, signature.args[2], args[2], args[3], args[4], lanes)
            product = builder.fmul(spread(builder, args[5], lanes), x_value, flags=FAST)
            builder.store(builder.fadd(y_value, product, flags=FAST), pointer, align=4)
            return context.get_dummy_value()

        return types.void(y, types.intp, x, types.intp, types.intp, types.float32), codegen

    return add


def _add_four(lanes: int) -> Any:
    @intrinsic
    def add(typing_context: Any, y: Any, y_row: Any, x: Any, rows: Any, column: Any, scales: Any) -> Any:  # noqa: ARG001
        if not (is_matrix(y) and is_matrix(x)):
            return None

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer, total = load(context, builder, signature.args[0], args[0], args[1], args[4], lanes)
            for k in range(4):
                row, scale = builder.extract_value(args[3], k), builder.extract_value(args[5], k)
                _, value = load(context, builder, signature.args[2], args[2], row, args[4], lanes)
                product = builder.fmul(spread(builder, scale, lanes), value, flags=FAST)
                total = builder.fadd(total, product, flags=FAST)
            builder.store(total, pointer, align=4)
            return context.get_dummy_value()

        four = UniTuple(types.intp, 4), UniTuple(types.float32, 4)
        return types.void(y, types.intp, x, four[0], types.intp, four[1]), codegen

    return add


def _dot(lanes: int) -> Any:
    @intrinsic
    def multiply(typing_context: Any, y: Any, y_row: Any, x: Any, x_row: Any, column: Any) -> Any:  # noqa: ARG001
        if not (is_matrix(y) and is_matrix(x)):
            return None

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _, y_value = load(context, builder, signature.args[0], args[0], args[1], args[4], lanes)
            _, x_value = load(context, builder, signature.args[2], args[2], args[3], args[4], lanes)
            return sum_of(builder, builder.fmul(y_value, x_value, flags=FAST), lanes)

        return types.float32(y, types.intp, x, types.intp, types.intp), codegen

    return multiply


#: ``add_scaled(y, y_row, x, x_row, column, scale)``: y[y_row, c:c + 8] += scale * x[x_row, c:c + 8] with c the column;
#: like all of these without any bounds check.
add_scaled = _add_scaled(LANES)
#: The same of four floats.
add_scaled_half = _add_scaled(HALF)
#: ``add_four(y, y_row, x, x_rows, column, scales)``: the sum of four rows (a tuple) with their scales is added at once.
add_four = _add_four(LANES)
#: The same of four floats of each row.
add_four_half = _add_four(HALF)
#: ``dot(y, y_row, x, x_row, column)``: the sum of y[y_row, column:column + 8] * x[x_row, column:column + 8].
dot = _dot(LANES)
#: The same of four floats.
dot_half = _dot(HALF)


@intrinsic
def any_nonzero(typing_context: Any, x: Any, row: Any, column: Any) -> Any:  # noqa: ARG001
    """Whether x[row, column:column + 8] holds anything but zeros; NaN is something."""
    if not is_matrix(x):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, value = load(context, builder, signature.args[0], args[0], args[1], args[2], LANES)
        zeros = ir.Constant(ir.VectorType(ir.FloatType(), LANES), [0.0] * LANES)
        which = builder.bitcast(builder.fcmp_unordered("!=", value, zeros), ir.IntType(LANES))
        return builder.icmp_unsigned("!=", which, ir.Constant(which.type, 0))

    return types.boolean(x, types.intp, types.intp), codegen


@kernel(fastmath={"reassoc", "contract", "nsz", "arcp"})
def exp32(x: Any) -> Any:
    """exp(x) of a float32 in -87 ... 87 to 1e-7; unlike the library's, a loop over it runs in eight lanes."""
    n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    r = x - n * np.float32(0.693145752) - n * np.float32(1.42860677e-6)
    high = np.float32(1 / 24) + r * (np.float32(1 / 120) + r * np.float32(1 / 720))
    value = np.float32(1.0) + r * (np.float32(1.0) + r * (np.float32(0.5) + r * (np.float32(1 / 6) + r * high)))
    return value * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
