"""Between tokens, whose channels lie side by side, and planes, where the positions of one channel do.

Sixteen tokens times sixteen channels at once, transposed in registers: moving single numbers took longer than
the attention of a 3 x 3 neighbourhood itself.
"""

from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from tokenmix.models.attention.lanes import FLOATS, INTS, LANES, address, is_buffer, splat

#: how many tokens before it is needed a row of channels is asked for
_AHEAD = 32


def _transpose(builder, rows):  # type: ignore[no-untyped-def]
    """Sixteen vectors, transposed in four rounds: round s swaps the off-diagonal blocks of side s."""
    rows = list(rows)
    for side in (8, 4, 2, 1):
        lanes = range(LANES)
        upper = ir.Constant(INTS, [LANES + lane - side if lane & side else lane for lane in lanes])
        lower = ir.Constant(INTS, [LANES + lane if lane & side else lane + side for lane in lanes])
        for i in (i for i in lanes if not i & side):
            a, b = rows[i], rows[i + side]
            rows[i], rows[i + side] = builder.shuffle_vector(a, b, upper), builder.shuffle_vector(a, b, lower)
    return rows


def _everywhere(builder, vector, value):  # type: ignore[no-untyped-def]
    """Lanes that all hold `value`."""
    lanes = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(lanes, lanes, ir.Constant(INTS, [0] * LANES))


def _smaller(builder, a, b):  # type: ignore[no-untyped-def]
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def _fetch(context, builder, array_type, array, index, step, token):  # type: ignore[no-untyped-def]
    """Ask for the row of a token some tiles ahead: rows lie too far apart for the processor to foresee them."""
    index = builder.add(index, builder.mul(step, step.type(token + _AHEAD)))
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), (byte, number, number, number))
    prefetch = get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    place = builder.bitcast(address(context, builder, array_type, array, index), byte)
    # of data (1), to be read, and kept in the second cache (2)
    builder.call(prefetch, (place, number(0), number(2), number(1)))


@intrinsic
def tokens_to_planes(typing, source, index, step, present, factor, target, at, length):  # type: ignore[no-untyped-def]
    """Sixteen channels of up to sixteen tokens, times `factor`, into sixteen planes; zeros for absent tokens.

    `source` is flat, channels lie side by side, tokens `step` apart, the first at `index`; `present` of them
    are read. The lanes of a plane go to `target` at `at`, the next plane is `length` further.
    """
    if not (is_buffer(source) and is_buffer(target)):
        return None

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        source, index, step, present, factor, target, at, length = arguments
        size = present.type
        last = builder.sub(present, size(1))
        rows = []
        for token in range(LANES):
            place = builder.add(index, builder.mul(step, _smaller(builder, size(token), last)))
            _fetch(context, builder, signature.args[0], source, index, step, token)
            rows.append(builder.load(address(context, builder, signature.args[0], source, place)))
            rows[-1].align = 4
        count = _everywhere(builder, INTS, builder.trunc(present, ir.IntType(32)))
        factors = _everywhere(builder, FLOATS, factor)
        is_present = builder.icmp_signed("<", ir.Constant(INTS, list(range(LANES))), count)
        for channel, plane in enumerate(_transpose(builder, rows)):
            value = builder.select(is_present, builder.fmul(plane, factors), splat(0))
            place = builder.add(at, builder.mul(length, size(channel)))
            builder.store(value, address(context, builder, signature.args[5], target, place)).align = 4
        return context.get_dummy_value()

    intp = types.intp
    return types.void(source, intp, intp, intp, types.float32, target, intp, intp), generate


@intrinsic
def planes_to_tokens(typing, source, at, length, factor, target, index, step, present):  # type: ignore[no-untyped-def]
    """The way back of `tokens_to_planes`: writes sixteen channels of `present` tokens."""
    if not (is_buffer(source) and is_buffer(target)):
        return None

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        source, at, length, factor, target, index, step, present = arguments
        size = present.type
        last = builder.sub(present, size(1))
        factors = _everywhere(builder, FLOATS, factor)
        planes = []
        for channel in range(LANES):
            place = builder.add(at, builder.mul(length, size(channel)))
            value = builder.load(address(context, builder, signature.args[0], source, place))
            value.align = 4
            planes.append(builder.fmul(value, factors))
        rows = _transpose(builder, planes)
        # absent tokens are written over the last one, which is written after them
        for token in reversed(range(LANES)):
            place = builder.add(index, builder.mul(step, _smaller(builder, size(token), last)))
            _fetch(context, builder, signature.args[4], target, index, step, token)
            builder.store(rows[token], address(context, builder, signature.args[4], target, place)).align = 4
        return context.get_dummy_value()

    intp = types.intp
    return types.void(source, intp, intp, types.float32, target, intp, intp, intp), generate
