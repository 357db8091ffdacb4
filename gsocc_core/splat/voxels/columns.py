# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The innermost loops between a Gaussian and a column of voxels, as LLVM vectors.

Along a column they go eight voxels at a time, along a row eight channels. Arrays are C-contiguous float32 matrices
whose rows are whole numbers of blocks; nothing is checked. numba's disk cache notices changes of a kernel's own file
only: after an edit here, touch the files of the kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.types.containers import UniTuple
from numba.extending import intrinsic

from gsocc_core.splat.simd import FAST, LANES, is_matrix, spread, sum_of

#: Columns of densities and weights are filled up to a multiple of it.
LEVELS_AT_ONCE = 2 * LANES

#: Polynomial of 2^x, |x| <= 1/2, with the least relative error that gives 1 at 0.
_POWERS = (1.0, 0.693147004, 0.240222424, 0.0555073358, 0.00967151299, 0.00132647273)

_FLOATS, _INTS = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.IntType(32), LANES)


def _numbers(*values: float) -> Any:
    return ir.Constant(_FLOATS, list(values) * (LANES // len(values)))


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """A * b + c."""
    return builder.fadd(builder.fmul(a, b, flags=FAST), c, flags=FAST)


def _power_of_two(builder: Any, x: Any) -> Any:
    """2^x of eight floats in -125 ... 125 to 2e-7, and 1 of 0: a polynomial in what is left of the nearest integer."""
    nearest = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_FLOATS, [_FLOATS]), "llvm.rint.v8f32")
    n = builder.call(nearest, [x])
    rest, value = builder.fsub(x, n), _numbers(_POWERS[-1])
    for factor in _POWERS[-2::-1]:
        value = _fused(builder, value, rest, _numbers(factor))
    shift = builder.shl(builder.fptosi(n, _INTS), ir.Constant(_INTS, [23] * LANES))
    return builder.bitcast(builder.add(builder.bitcast(value, _INTS), shift), _FLOATS)


def _row(context: Any, builder: Any, array_type: Any, array: Any, row: Any) -> tuple[Any, Any]:
    """Pointer to the first number of a row, and the length of a row."""
    struct = context.make_array(array_type)(context, builder, array)
    _, columns = cgutils.unpack_tuple(builder, struct.shape, 2)
    return builder.gep(struct.data, [builder.mul(row, columns)]), columns


def _block(builder: Any, row: Any, column: Any) -> tuple[Any, Any]:
    """Pointer to, and value of, eight floats of a row."""
    pointer = builder.bitcast(builder.gep(row, [column]), _FLOATS.as_pointer())
    return pointer, _value(builder, pointer, _FLOATS)


def _value(builder: Any, pointer: Any, kind: Any) -> Any:
    # Old and new llvmlite differ in whether a load can read its type off the pointer.
    try:
        return builder.load(pointer, align=4, typ=kind)
    except TypeError:
        return builder.load(pointer, align=4)


@contextmanager
def _level_blocks(builder: Any, low: Any, high: Any) -> Iterator[list[Any]]:
    """A loop over the levels low ... high, two blocks at a time: how many blocks a column has cannot be predicted."""
    step = ir.Constant(low.type, LEVELS_AT_ONCE)
    start = builder.and_(low, ir.Constant(low.type, -LEVELS_AT_ONCE))
    stop = builder.add(high, ir.Constant(high.type, 1))
    with cgutils.for_range_slice(builder, start, stop, step, low.type) as (index, _):
        yield [builder.add(index, ir.Constant(low.type, k)) for k in range(0, LEVELS_AT_ONCE, LANES)]


def _channel_blocks(builder: Any, width: Any) -> Iterator[list[Any]]:
    """Loops over the blocks of a row, two at a time and then the last one; the caller's code is written for each."""
    zero, pair = ir.Constant(width.type, 0), ir.Constant(width.type, 2 * LANES)
    rest = builder.and_(width, ir.Constant(width.type, -2 * LANES))
    with cgutils.for_range_slice(builder, zero, rest, pair, width.type) as (c, _):
        yield [c, builder.add(c, ir.Constant(width.type, LANES))]
    with builder.if_then(builder.icmp_signed("<", rest, width)):
        yield [rest]


@contextmanager
def _each(builder: Any, begin: Any, end: Any) -> Iterator[Any]:
    with cgutils.for_range_slice(builder, begin, end, ir.Constant(begin.type, 1), begin.type) as (index, _):
        yield index


def _lanes_between(builder: Any, base: Any, low: Any, high: Any) -> Any:
    """Which of base + 0 ... 7 lie in low ... high."""
    lane = ir.Constant(_INTS, list(range(LANES)))
    first, last = (
        builder.shuffle_vector(v, v, ir.Constant(_INTS, [0] * LANES))
        for v in (
            builder.insert_element(
                ir.Constant(_INTS, ir.Undefined), builder.trunc(builder.sub(level, base), ir.IntType(32)),
                ir.Constant(ir.IntType(32), 0),
            )
            for level in (low, high)
        )
    )  # fmt: skip
    return builder.and_(builder.icmp_signed(">=", lane, first), builder.icmp_signed("<=", lane, last))


def _weights(builder: Any, base: Any, levels: Any, numbers: Any) -> tuple[Any, Any]:
    """Amplitude * 2^-(q + a t^2) at the levels base + 0 ... 7, zero outside low ... high, and the whole part of t.

    Args:
        builder: Of the function.
        base: First level.
        levels: low, high, and origin.
        numbers: q, a, amplitude, and the rest of t: t = (level - origin) + rest, rounded once.
    """
    low, high, origin = levels
    q, a, amplitude, rest = (spread(builder, number, LANES) for number in numbers)
    start = builder.sitofp(builder.sub(base, origin), ir.FloatType())
    whole = builder.fadd(spread(builder, start, LANES), _numbers(*range(LANES)))
    t = builder.fadd(whole, rest)
    power = _fused(builder, a, builder.fmul(t, t, flags=FAST), q)
    power = builder.fsub(_numbers(0.0), power, flags=FAST)
    lowest = _numbers(-125.0)
    power = builder.select(builder.fcmp_ordered(">", power, lowest), power, lowest)
    value = builder.fmul(amplitude, _power_of_two(builder, power), flags=FAST)
    return builder.select(_lanes_between(builder, base, low, high), value, _numbers(0.0)), whole


_LEVELS, _NUMBERS = UniTuple(types.intp, 3), UniTuple(types.float32, 4)


def _unpacked(builder: Any, values: Any, count: int) -> list[Any]:
    return [builder.extract_value(values, k) for k in range(count)]


@intrinsic
def weigh_and_add(
    typing_context: Any,  # noqa: ARG001
    weights: Any,
    density: Any,
    row: Any,  # noqa: ARG001
    levels: Any,  # noqa: ARG001
    numbers: Any,  # noqa: ARG001
    share: Any,  # noqa: ARG001
) -> Any:
    """weights[0, z] = amplitude * 2^-(q + a t^2) for low <= z <= high, and density[row, z] += share * weights[0, z].

    ``levels`` are low, high and origin, ``numbers`` q, a, amplitude and rest, with t = z - origin + rest. In the rest
    of their blocks of eight the weights are 0. The exponent counts as -125 below that.
    """
    if not (is_matrix(weights) and is_matrix(density)):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target, _ = _row(context, builder, signature.args[0], args[0], ir.Constant(args[2].type, 0))
        sums, _ = _row(context, builder, signature.args[1], args[1], args[2])
        levels, numbers = _unpacked(builder, args[3], 3), _unpacked(builder, args[4], 4)
        share = spread(builder, args[5], LANES)
        with _level_blocks(builder, levels[0], levels[1]) as bases:
            for z in bases:
                value, _ = _weights(builder, z, levels, numbers)
                builder.store(value, _block(builder, target, z)[0], align=4)
                pointer, before = _block(builder, sums, z)
                builder.store(_fused(builder, share, value, before), pointer, align=4)
        return context.get_dummy_value()

    return types.void(weights, density, types.intp, _LEVELS, _NUMBERS, types.float32), codegen


@intrinsic
def weigh_thrice(
    typing_context: Any,  # noqa: ARG001
    weights: Any,
    levels: Any,  # noqa: ARG001
    numbers: Any,  # noqa: ARG001
    to_center: Any,  # noqa: ARG001
) -> Any:
    """The weights of :func:`weigh_and_add` in weights[0], times d in weights[1], times d^2 in weights[2].

    d = z - origin + to_center.
    """
    if not is_matrix(weights):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = builder.extract_value(args[1], 0).type
        rows = [_row(context, builder, signature.args[0], args[0], ir.Constant(index, k))[0] for k in range(3)]
        levels, numbers = _unpacked(builder, args[1], 3), _unpacked(builder, args[2], 4)
        to_center = spread(builder, args[3], LANES)
        with _level_blocks(builder, levels[0], levels[1]) as bases:
            for z in bases:
                value, whole = _weights(builder, z, levels, numbers)
                d = builder.fadd(whole, to_center)
                for row in rows:
                    builder.store(value, _block(builder, row, z)[0], align=4)
                    value = builder.fmul(value, d, flags=FAST)
        return context.get_dummy_value()

    return types.void(weights, _LEVELS, _NUMBERS, types.float32), codegen


def _weight_at(builder: Any, row: Any, heights: Any, s: Any) -> Any:
    height = _value(builder, builder.gep(heights, [s]), ir.IntType(32))
    return spread(builder, _value(builder, builder.gep(row, [height]), ir.FloatType()), LANES)


def _is_list(array: Any) -> bool:
    return isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C" and array.dtype == types.int32


@intrinsic
def add_rows(
    typing_context: Any,  # noqa: ARG001
    votes: Any,
    begin: Any,  # noqa: ARG001
    end: Any,  # noqa: ARG001
    heights: Any,
    rows: Any,
    i: Any,  # noqa: ARG001
    weights: Any,
) -> Any:
    """votes[s] += weights[0, heights[s]] * rows[i] for begin <= s < end."""
    if not (is_matrix(votes) and is_matrix(rows) and is_matrix(weights) and _is_list(heights)):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(args[1].type, 0)
        source, width = _row(context, builder, signature.args[4], args[4], args[5])
        first, _ = _row(context, builder, signature.args[0], args[0], zero)
        weights, _ = _row(context, builder, signature.args[6], args[6], zero)
        heights = context.make_array(signature.args[3])(context, builder, args[3]).data
        for channels in _channel_blocks(builder, width):
            shown = [_block(builder, source, c)[1] for c in channels]
            with _each(builder, args[1], args[2]) as s:
                weight = _weight_at(builder, weights, heights, s)
                for c, row in zip(channels, shown):
                    pointer, before = _block(builder, first, builder.add(builder.mul(s, width), c))
                    builder.store(_fused(builder, weight, row, before), pointer, align=4)
        return context.get_dummy_value()

    return types.void(votes, types.intp, types.intp, heights, rows, types.intp, weights), codegen


@intrinsic
def gather(
    typing_context: Any,  # noqa: ARG001
    weights: Any,
    span: Any,  # noqa: ARG001
    by_density: Any,
    k: Any,  # noqa: ARG001
    share: Any,  # noqa: ARG001
    by_rows: Any,
    begin: Any,  # noqa: ARG001
    end: Any,  # noqa: ARG001
    heights: Any,
    rows: Any,
    i: Any,  # noqa: ARG001
    g_rows: Any,
    e: Any,  # noqa: ARG001
) -> Any:
    """g_rows[e] += sum over s of weights[0, heights[s]] * by_rows[s], and sums over the column.

    With p the product of a level's gradient and the row, p = share * by_density[k, z] + <by_rows[s], rows[i]>, these
    are the sums of weights[m, z] * p for m = 0, 1, 2, and that of weights[0, z] * by_density[k, z]. ``span`` are the
    lowest and the highest level of the weights.
    """
    if not all(is_matrix(a) for a in (weights, by_density, by_rows, rows, g_rows)) or not _is_list(heights):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds, index = signature.args, args[3].type
        zero = ir.Constant(index, 0)
        thrice = [_row(context, builder, kinds[0], args[0], ir.Constant(index, m))[0] for m in range(3)]
        totals = _empty_sums(builder)
        column, _ = _row(context, builder, kinds[2], args[2], args[3])
        with _level_blocks(builder, *_unpacked(builder, args[1], 2)) as bases:
            for z in bases:
                _, grad = _block(builder, column, z)
                _add_to(builder, totals, [_block(builder, row, z)[1] for row in thrice], grad)
        grad_sum = sum_of(builder, _value(builder, totals[0], _FLOATS), LANES)
        share = spread(builder, args[4], LANES)
        for total in totals:
            builder.store(builder.fmul(share, _value(builder, total, _FLOATS), flags=FAST), total)
        heights = context.make_array(kinds[8])(context, builder, args[8]).data
        source, width = _row(context, builder, kinds[9], args[9], args[10])
        target, _ = _row(context, builder, kinds[11], args[11], args[12])
        first, _ = _row(context, builder, kinds[5], args[5], zero)
        with builder.if_then(builder.icmp_signed("<", args[6], args[7])):
            for channels in _channel_blocks(builder, width):
                parts = [_empty_sums(builder) for _ in channels]
                with _each(builder, args[6], args[7]) as s:
                    found = [_weight_at(builder, row, heights, s) for row in thrice]
                    for c, part in zip(channels, parts):
                        _, grad = _block(builder, first, builder.add(builder.mul(s, width), c))
                        _add_to(builder, part, found, grad)
                for c, part in zip(channels, parts):
                    sums = [_value(builder, one, _FLOATS) for one in part]
                    pointer, before = _block(builder, target, c)
                    builder.store(builder.fadd(before, sums[0], flags=FAST), pointer, align=4)
                    _add_to(builder, totals, sums, _block(builder, source, c)[1])
        result = [sum_of(builder, _value(builder, total, _FLOATS), LANES) for total in totals]
        return cgutils.pack_array(builder, [*result, grad_sum])

    result, pair = UniTuple(types.float32, 4), UniTuple(types.intp, 2)
    n = types.intp
    kinds = (weights, pair, by_density, n, types.float32, by_rows, n, n, heights, rows, n, g_rows, n)
    return result(*kinds), codegen


def _empty_sums(builder: Any) -> list[Any]:
    """Places of three sums of eight lanes, zeros each time that the code passes here."""
    places = [cgutils.alloca_once_value(builder, _numbers(0.0)) for _ in range(3)]
    for place in places:
        builder.store(_numbers(0.0), place)
    return places


def _add_to(builder: Any, places: list[Any], factors: list[Any], value: Any) -> None:
    """Add each factor times the value to its place."""
    for place, factor in zip(places, factors):
        builder.store(_fused(builder, factor, value, _value(builder, place, _FLOATS)), place)
