"""Damage of files, drawn by hypothesis: of their bytes and of the JSON in them."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from cnn_core.model_file import read_tensors, write_tensors

# Sizes that overflow, signs that flip, the largest of each width.
NUMBERS = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
]


@st.composite
def mutations(draw):
    """A change of some bytes: cut, flipped, overwritten, inserted, doubled, or taken out."""
    kind = draw(st.sampled_from(["cut", "flip", "number", "insert", "double", "remove", "append"]))
    at = draw(st.floats(0, 1, exclude_max=True))
    if draw(st.booleans()):
        # Where headers are.
        at /= 8
    width = draw(st.sampled_from([1, 2, 4, 8, 30]))
    number = draw(st.sampled_from(NUMBERS))
    order = draw(st.sampled_from(["little", "big"]))
    more = draw(
        st.sampled_from([b"\0", b"nan", b"[" * 3000, b'"', b"{", b",", b"9" * 400, b"\xff"])
    )

    def mutate(data: bytes) -> bytes:
        i = int(at * len(data))
        piece = (number % 256 ** min(width, 8)).to_bytes(min(width, 8), order)
        return {
            "cut": data[:i],
            "flip": data[:i] + bytes([data[i] ^ 1 << width % 8]) + data[i + 1 :] if data else data,
            "number": data[:i] + piece + data[i + len(piece) :],
            "insert": data[:i] + more + data[i:],
            "double": data[: i + width] + data[i:],
            "remove": data[:i] + data[i + width :],
            "append": data + more,
        }[kind]

    return mutate


# Descriptions in model files, with a right checksum

VALUES = st.recursive(
    st.sampled_from(
        [
            *(None, True, -1, 0, 1, 3, 2**31, 2**63, 10**400, -0.5, 1e308),
            *(float("nan"), float("inf")),
            *("", "sigmoid", "float64", "é", "training.0", "layers.0.weights"),
        ]
    ),
    lambda items: (
        st.lists(items, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "float", "tuple", "dict", "layers", "tensor"]),
            items,
            max_size=2,
        )
    ),
    max_leaves=4,
)


def places_in(value, place=()):
    """Every place in a tree of JSON."""
    if place:
        yield place
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items if isinstance(value, dict | list) else ():
        yield from (
            places_in(item, (*place, key)) if isinstance(item, dict | list) else [(*place, key)]
        )


def change_somewhere(tree, data):
    """Replace or take out one value in a tree of JSON."""
    place = data.draw(st.sampled_from(list(places_in(tree))))
    inside = tree
    for key in place[:-1]:
        inside = inside[key]
    if data.draw(st.booleans()):
        inside[place[-1]] = data.draw(VALUES)
    else:
        del inside[place[-1]]


def write_tree(path, tensors, tree):
    """Write a model file whose texts hold these trees of JSON."""
    texts = {key: v if isinstance(v, str) else json.dumps(v) for key, v in tree.items()}
    write_tensors(path, tensors, texts)


def tree_of(path):
    tensors, texts = read_tensors(path)
    return tensors, {
        key: text if key == "kind" else json.loads(text) for key, text in texts.items()
    }
