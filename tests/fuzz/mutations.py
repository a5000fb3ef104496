"""Strategies for hostile input: damaged bytes, and trees that are almost right."""

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

#: words with a meaning to a shell, TeX, Snakemake, YAML or a file system
NASTY = (
    "", " ", "-x", "--", "..", "../x", "/etc/passwd", "~", "~nobody/x", "a b", "a;b", "$(touch canary)", "`id`",
    "'", '"', "\\", "%", "{a}", "{{", "a:b", "a\nb", "a\0b", "é", "名", "\u202e", "\ufeff", "x" * 300,
    "null", "1e3", "08", "*", "[", "[key]", "https://[", "http://127.0.0.1/x", "https://a/..", "full",
    "s12-tttt-conv3", "resnet18-k3",
)  # fmt: skip
NUMBERS = (0, -1, 1, 3, 2**31, 2**64, 10**400, -(10**400), 1e308, -0.0, float("inf"), float("nan"), 1e-320, 0.5)

leaves = st.one_of(
    st.none(), st.booleans(), st.sampled_from(NASTY), st.sampled_from(NUMBERS), st.integers(), st.text(max_size=8)
)
keys = st.sampled_from(NASTY) | st.text(max_size=6)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def places(tree: Any, here: tuple = ()) -> list[tuple]:
    """Every place of a tree of mappings and lists, the root too."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [here, *(place for key, value in inner for place in places(value, (*here, key)))]


@st.composite
def altered(draw: st.DrawFn, tree: Any, most: int = 4) -> Any:
    """A copy of `tree` in which some places hold something else, lack, or have got a sibling."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(0, most))):
        place = draw(st.sampled_from(places(tree)))
        if not place:
            tree = draw(trees) if draw(st.integers(0, 9)) == 0 else tree
            continue
        parent = tree
        for key in place[:-1]:
            parent = parent[key]
        action = draw(st.sampled_from(("replace", "remove", "add")))
        if action == "replace":
            parent[place[-1]] = draw(trees)
        elif action == "remove":
            del parent[place[-1]]
        elif isinstance(parent, dict):
            parent[draw(keys)] = draw(trees)
        else:
            parent.append(draw(trees))
    return tree


@st.composite
def damaged(draw: st.DrawFn, originals: Sequence[bytes], most: int = 6) -> bytes:
    """One of the originals with bytes changed, cut out, put in or repeated."""
    data = bytearray(draw(st.sampled_from(list(originals))))
    for _ in range(draw(st.integers(0, most))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from((1, 1, 2, 4, 8, 64, 4096)))
        action = draw(st.sampled_from(("set", "fill", "cut", "put", "repeat", "end")))
        if action == "set":
            data[start : start + length] = draw(st.binary(min_size=1, max_size=length))
        elif action == "fill":
            size = len(data[start : start + length])
            data[start : start + length] = draw(st.sampled_from((b"\0", b"\xff", b"\x7f", b"\x80"))) * size
        elif action == "cut":
            del data[start : start + length]
        elif action == "put":
            data[start:start] = draw(st.binary(max_size=16))
        elif action == "repeat":
            data[start:start] = data[start : start + length] * draw(st.integers(1, 3))
        else:
            del data[start:]
    return bytes(data)
