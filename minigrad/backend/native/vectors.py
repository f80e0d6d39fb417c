"""Vectors of LANES numbers as values in kernels, where the compiler finds none itself.

A loop over few channels inside one over the elements of a window is too short for the compiler's own vectors. Here a
vector is loaded, compared and stored as a whole, and stays in a register meanwhile.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from minigrad.backend.native.instructions import LANES, pointer_to

_ELEMENTS = {"float32": ir.FloatType(), "uint8": ir.IntType(8), "mask": ir.IntType(1)}


class VectorType(types.Type):
    """LANES numbers of one kind, in a register."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(name=f"vector({kind})")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(_ELEMENTS[fe_type.kind], LANES))


FLOATS, BYTES, MASK = VectorType("float32"), VectorType("uint8"), VectorType("mask")
_OF_ARRAY = {types.float32: FLOATS, types.uint8: BYTES}


def _vector(kind: Any) -> ir.VectorType:
    return ir.VectorType(_ELEMENTS[kind.kind], LANES)


def _masked(context: Any, builder: Any, kind: Any, name: str, count: Any) -> tuple[Any, Any]:
    """LLVM's masked load or store of a vector, and the mask of its first `count` lanes."""
    i64, lanes = ir.IntType(64), ir.VectorType(ir.IntType(64), LANES)
    nothing, i32 = ir.Constant(lanes, ir.Undefined), ir.IntType(32)
    limit = builder.insert_element(nothing, count, ir.Constant(i32, 0))
    limit = builder.shuffle_vector(limit, nothing, ir.Constant(ir.VectorType(i32, LANES), [0] * LANES))
    mask = builder.icmp_signed("<", ir.Constant(lanes, [ir.Constant(i64, k) for k in range(LANES)]), limit)
    vector, pointer = _vector(kind), _vector(kind).as_pointer()
    element = "f32" if kind == FLOATS else "i8"
    if name == "load":
        function = ir.FunctionType(vector, [pointer, i32, mask.type, vector])
    else:
        function = ir.FunctionType(ir.VoidType(), [vector, pointer, i32, mask.type])
    full_name = f"llvm.masked.{name}.v{LANES}{element}.p0"
    return cgutils.get_or_insert_function(builder.module, function, full_name), mask


@intrinsic
def load(typingctx: Any, x: Any, offset: Any, count: Any) -> Any:
    """x[offset : offset + LANES], of a flat array of float32 or uint8; lanes from `count` on are 0, not read."""
    kind = _OF_ARRAY[x.dtype]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, signature.args[0], args[0], args[1])
        pointer = builder.bitcast(pointer, _vector(kind).as_pointer())
        size = x.dtype.bitwidth // 8
        result = cgutils.alloca_once(builder, _vector(kind))
        whole = builder.icmp_signed(">=", args[2], ir.Constant(ir.IntType(64), LANES))
        with builder.if_else(whole, likely=True) as (plain, partial):
            with plain:
                value = builder.load(pointer)
                value.align = size
                builder.store(value, result)
            with partial:
                masked, mask = _masked(context, builder, kind, "load", args[2])
                zeros = ir.Constant(_vector(kind), None)
                value = builder.call(masked, [pointer, ir.Constant(ir.IntType(32), size), mask, zeros])
                builder.store(value, result)
        return builder.load(result)

    return kind(x, types.int64, types.int64), codegen


@intrinsic
def store(typingctx: Any, y: Any, offset: Any, count: Any, value: Any) -> Any:
    """y[offset : offset + LANES] = value, its first `count` lanes only."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, signature.args[0], args[0], args[1])
        pointer = builder.bitcast(pointer, _vector(value).as_pointer())
        size = y.dtype.bitwidth // 8
        whole = builder.icmp_signed(">=", args[2], ir.Constant(ir.IntType(64), LANES))
        with builder.if_else(whole, likely=True) as (plain, partial):
            with plain:
                builder.store(args[3], pointer).align = size
            with partial:
                masked, mask = _masked(context, builder, value, "store", args[2])
                builder.call(masked, [args[3], pointer, ir.Constant(ir.IntType(32), size), mask])
        return context.get_dummy_value()

    return types.void(y, types.int64, types.int64, value), codegen


@intrinsic
def spread(typingctx: Any, number: Any) -> Any:
    """A vector with the number, float32 or uint8, in every lane."""
    kind = _OF_ARRAY[number]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        nothing, i32 = ir.Constant(_vector(kind), ir.Undefined), ir.IntType(32)
        one = builder.insert_element(nothing, args[0], ir.Constant(i32, 0))
        return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(i32, LANES), [0] * LANES))

    return kind(number), codegen


def _binary(method: str, kind: Any, *extra: str) -> Any:
    def typing(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, method)(*extra, *args)

        return kind(a, b), codegen

    return intrinsic(typing)


add = _binary("fadd", FLOATS)
subtract = _binary("fsub", FLOATS)
multiply = _binary("fmul", FLOATS)
divide = _binary("fdiv", FLOATS)
greater = _binary("fcmp_ordered", MASK, ">")
equal = _binary("icmp_unsigned", MASK, "==")
either = _binary("or_", MASK)


@intrinsic
def is_nan(typingctx: Any, a: Any) -> Any:
    """Which lanes are NaN."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fcmp_unordered("uno", args[0], args[0])

    return MASK(a), codegen


@intrinsic
def select(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """a where the mask is set, else b."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(mask, a, b), codegen


def _across(combine: Any) -> Any:
    """The combination of all lanes: those of the two halves with each other, until one is left."""

    def typing(typingctx: Any, a: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value, i32, n = args[0], ir.IntType(32), LANES
            while n > 1:
                n //= 2
                halves = [ir.Constant(ir.VectorType(i32, n), list(range(k, k + n))) for k in (0, n)]
                low, high = (builder.shuffle_vector(value, value, half) for half in halves)
                value = combine(builder, low, high)
            return builder.extract_element(value, ir.Constant(i32, 0))

        return types.float32(a), codegen

    return intrinsic(typing)


sum_across = _across(lambda builder, a, b: builder.fadd(a, b))
max_across = _across(lambda builder, a, b: builder.select(builder.fcmp_ordered(">", b, a), b, a))
