"""What kernels say to the processor that Numba's Python cannot: atomic counters, and register tiles.

A **register tile** is the heart of every matrix product and convolution here: a block of P x (V * LANES) results that
stays in registers while the loop over the common index runs. Each step loads V vectors of one operand, and for each of
the P rows broadcasts one number of the other and multiplies and adds. Arithmetic then is what limits it, not memory:
P * V multiply-adds on P + V loads.

Source of the scheme: Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

LANES = 16  # numbers in a vector: one register of AVX-512, two of AVX2, four of NEON
_f32, _i64, _i1 = ir.FloatType(), ir.IntType(64), ir.IntType(1)
VECTOR = ir.VectorType(_f32, LANES)

# Rows of a tile that are reached from one pointer: a register, once or twice another one, is an address on x86. One
# pointer for all would be advanced from row to row, and the loop would wait for these additions.
_REACH = 3


@cache
def has_wide_registers() -> bool:
    """Whether a vector of LANES numbers is one register, of which there are 32 (AVX-512)."""
    return "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2]


@intrinsic
def next_block(typingctx: Any, counter: Any) -> Any:
    """counter[0], which is one more for the next who asks, in whatever thread."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", pointer, ir.Constant(_i64, 1), "monotonic")

    return types.int64(counter), codegen


def pointer_to(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    """Where in memory the number at `offset` of a flat array lies."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def load_vector(builder: Any, pointer: Any) -> Any:
    """LANES numbers from there on."""
    load = builder.load(builder.bitcast(pointer, VECTOR.as_pointer()))
    load.align = 4
    return load


def _spread(builder: Any, number: Any) -> Any:
    """A vector with the number in every lane."""
    one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(VECTOR, ir.Undefined), zeros)


def _times(builder: Any, stride: Any, p: int) -> Any:
    if isinstance(stride, ir.Constant):
        return ir.Constant(_i64, stride.constant * p)
    return builder.mul(stride, ir.Constant(_i64, p))


def _opaque(builder: Any, pointer: Any) -> Any:
    """The pointer, of which the optimiser knows nothing: it would compute each from the one before, in a chain."""
    return builder.asm(ir.FunctionType(pointer.type, [pointer.type]), "", "=r,0", [pointer], False)


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once."""
    fma = _intrinsic(builder, f"llvm.fma.v{LANES}f32", ir.FunctionType(VECTOR, [VECTOR] * 3))
    return builder.call(fma, [a, b, c])


def _intrinsic(builder: Any, name: str, function_type: Any) -> Any:
    """One of LLVM's own functions, declared where it is used."""
    return cgutils.get_or_insert_function(builder.module, function_type, name)


@intrinsic(prefer_literal=True)
def multiply_tile(
    typingctx: Any, P: Any, V: Any, along: Any,
    add: Any, y: Any, y0: Any, y_row: Any, rows: Any, columns: Any,
    a: Any, a0: Any, a_row: Any, a_step: Any, a_jump: Any,
    b: Any, b0: Any, b_step: Any, b_jump: Any,
    steps: Any, jumps: Any,
) -> Any:  # fmt: skip
    """y[p, v] (+)= sum over j < jumps, k < steps of a[j, k, p] b[j, k, v], for p < P, v < V LANES.

    Where  y[p, v]    = y[y0 + p y_row + v],    written for p < rows and v < columns only
           a[j, k, p] = a[a0 + j a_jump + k a_step + p a_row]
           b[j, k, v] = b[b0 + j b_jump + k b_step + v]

    P, V:  of the tile, literal ints.
    along: literal: 0 if a_step is 1 (a's numbers lie together along the common index), 1 if a_row is 1 (along p).
    add:   literal: 1 to add to y, 0 to overwrite it.

    All offsets count elements. Everything at p < P and v < V LANES is read, also where it is not written.
    """
    p_count, v_count, contiguous = P.literal_value, V.literal_value, along.literal_value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        names = (
            *("P", "V", "along", "add", "y", "y0", "y_row", "rows", "columns"),
            *("a", "a0", "a_row", "a_step", "a_jump", "b", "b0", "b_step", "b_jump", "steps", "jumps"),
        )
        given = dict(zip(names, args, strict=True))
        kinds = dict(zip(names, signature.args, strict=True))
        zero, one = ir.Constant(_i64, 0), ir.Constant(_i64, 1)
        a_row = one if contiguous == 1 else given["a_row"]
        if isinstance(kinds["a_row"], types.IntegerLiteral):
            a_row = ir.Constant(_i64, kinds["a_row"].literal_value)
        a_step = one if contiguous == 0 else given["a_step"]
        reach = p_count if isinstance(a_row, ir.Constant) else _REACH
        a_start = pointer_to(context, builder, kinds["a"], given["a"], given["a0"])
        b_start = pointer_to(context, builder, kinds["b"], given["b"], given["b0"])

        # for j in range(jumps): for k in range(steps): both loops carry the accumulators and the two pointers
        entry = builder.block
        outer, inner, next_outer, done = (
            builder.append_basic_block(n) for n in ("jumps", "steps", "next_jump", "done")
        )
        nonempty = builder.and_(
            builder.icmp_signed(">", given["jumps"], zero), builder.icmp_signed(">", given["steps"], zero)
        )
        nothing = ir.Constant(VECTOR, [0.0] * LANES)
        builder.cbranch(nonempty, outer, done)

        builder.position_at_end(outer)
        j, a_j, b_j = builder.phi(_i64), builder.phi(a_start.type), builder.phi(b_start.type)
        outer_acc = [builder.phi(VECTOR) for _ in range(p_count * v_count)]
        for phi, first in ((j, zero), (a_j, a_start), (b_j, b_start), *((c, nothing) for c in outer_acc)):
            phi.add_incoming(first, entry)
        a_bases = [
            _opaque(builder, builder.gep(a_j, [_times(builder, a_row, p)])) for p in range(0, p_count, reach)
        ]
        builder.branch(inner)

        builder.position_at_end(inner)
        k, b_k = builder.phi(_i64), builder.phi(b_start.type)
        a_k = [builder.phi(a_start.type) for _ in range(0, p_count, reach)]
        acc = [builder.phi(VECTOR) for _ in range(p_count * v_count)]
        for phi, first in ((k, zero), (b_k, b_j), *zip(a_k, a_bases), *zip(acc, outer_acc)):
            phi.add_incoming(first, outer)
        vectors = [
            load_vector(builder, builder.gep(b_k, [ir.Constant(_i64, v * LANES)])) for v in range(v_count)
        ]
        total = []
        for p in range(p_count):
            place = builder.gep(a_k[p // reach], [_times(builder, a_row, p % reach)])
            number = _spread(builder, builder.load(place))
            for v in range(v_count):
                total.append(multiply_add(builder, number, vectors[v], acc[p * v_count + v]))
        more = builder.add(k, one)
        for phi, after in (
            (k, more),
            (b_k, builder.gep(b_k, [given["b_step"]])),
            *((pointer, builder.gep(pointer, [a_step])) for pointer in a_k),
            *zip(acc, total),
        ):
            phi.add_incoming(after, inner)
        builder.cbranch(builder.icmp_signed("<", more, given["steps"]), inner, next_outer)

        builder.position_at_end(next_outer)
        more = builder.add(j, one)
        for phi, after in (
            (j, more),
            (a_j, builder.gep(a_j, [given["a_jump"]])),
            (b_j, builder.gep(b_j, [given["b_jump"]])),
            *zip(outer_acc, total),
        ):
            phi.add_incoming(after, next_outer)
        builder.cbranch(builder.icmp_signed("<", more, given["jumps"]), outer, done)

        builder.position_at_end(done)
        final = [builder.phi(VECTOR) for _ in total]
        for phi, result in zip(final, total):
            phi.add_incoming(nothing, entry)
            phi.add_incoming(result, next_outer)
        _store_tile(context, builder, given, kinds, final, p_count, v_count, add.literal_value)
        return context.get_dummy_value()

    signature = types.void(
        P,
        V,
        along,
        add,
        y,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        a,
        types.int64,
        a_row if isinstance(a_row, types.IntegerLiteral) else types.int64,
        types.int64,
        types.int64,
        b,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
    )
    return signature, codegen


def _store_tile(
    context: Any, builder: Any, given: Any, kinds: Any, final: Any, p_count: int, v_count: int, add: int
) -> None:
    """y (+)= the tile, rows beyond `rows` and columns beyond `columns` left alone."""
    pointer_type = VECTOR.as_pointer()
    y_start = pointer_to(context, builder, kinds["y"], given["y"], given["y0"])
    rows = [builder.gep(y_start, [builder.mul(given["y_row"], ir.Constant(_i64, p))]) for p in range(p_count)]

    def place(p: int, v: int) -> Any:
        return builder.bitcast(builder.gep(rows[p], [ir.Constant(_i64, v * LANES)]), pointer_type)

    enough_rows = builder.icmp_signed(">=", given["rows"], ir.Constant(_i64, p_count))
    enough_columns = builder.icmp_signed(">=", given["columns"], ir.Constant(_i64, v_count * LANES))
    with builder.if_else(builder.and_(enough_rows, enough_columns), likely=True) as (whole, part):
        with whole:
            for p in range(p_count):
                for v in range(v_count):
                    value = final[p * v_count + v]
                    if add:
                        value = builder.fadd(value, load_vector(builder, place(p, v)))
                    builder.store(value, place(p, v)).align = 4
        with part:
            masks = [_below(builder, given["columns"], v * LANES) for v in range(v_count)]
            for p in range(p_count):
                with builder.if_then(builder.icmp_signed("<", ir.Constant(_i64, p), given["rows"])):
                    for v in range(v_count):
                        value = final[p * v_count + v]
                        if add:
                            value = builder.fadd(value, _masked_load(builder, place(p, v), masks[v]))
                        _masked_store(builder, value, place(p, v), masks[v])


_mask = ir.VectorType(_i1, LANES)
_align4 = ir.Constant(ir.IntType(32), 4)


def _below(builder: Any, limit: Any, first: int) -> Any:
    """A mask: which of first, first + 1, ... lie below the limit."""
    indices = ir.VectorType(_i64, LANES)
    one = builder.insert_element(ir.Constant(indices, ir.Undefined), limit, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    limits = builder.shuffle_vector(one, ir.Constant(indices, ir.Undefined), zeros)
    return builder.icmp_signed("<", ir.Constant(indices, [first + i for i in range(LANES)]), limits)


def _masked_load(builder: Any, pointer: Any, mask: Any) -> Any:
    kind = ir.FunctionType(VECTOR, [pointer.type, ir.IntType(32), _mask, VECTOR])
    function = _intrinsic(builder, f"llvm.masked.load.v{LANES}f32.p0", kind)
    return builder.call(function, [pointer, _align4, mask, ir.Constant(VECTOR, [0.0] * LANES)])


def _masked_store(builder: Any, value: Any, pointer: Any, mask: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [VECTOR, pointer.type, ir.IntType(32), _mask])
    function = _intrinsic(builder, f"llvm.masked.store.v{LANES}f32.p0", kind)
    builder.call(function, [value, pointer, _align4, mask])


@intrinsic
def copy(typingctx: Any, y: Any, y0: Any, x: Any, x0: Any, count: Any) -> Any:
    """y[y0 + i] = x[x0 + i] for i < count; the two may not overlap."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        y, y0, x, x0, count = args
        target = pointer_to(context, builder, signature.args[0], y, y0)
        source = pointer_to(context, builder, signature.args[2], x, x0)
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        cgutils.raw_memcpy(builder, target, source, count, size)
        return context.get_dummy_value()

    return types.void(y, types.int64, x, types.int64, types.int64), codegen
