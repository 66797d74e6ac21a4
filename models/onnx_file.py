"""Look into an ONNX file without loading it: whether everything that belongs to the model is in the file itself.

ONNX Runtime reads weights of other files where a tensor names them, and a compiled graph where a node names it.
Field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from collections.abc import Iterator

_DEPTH_MAX = 64
"""Deepest nest of graphs, nodes and attributes that is followed. ONNX Runtime itself gives up at 100 messages."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Messages inside each kind of message, by the numbers of their fields."""
_OP_TYPE, _EXTERNAL_DATA, _DATA_LOCATION = 4, 13, 14
_COMPILED = b"EPContext"
"""Node that holds, or names the file of, a graph compiled for one kind of device."""


def what_is_outside(data: bytes) -> str:
    """Return what of a model is not in its file, or why that cannot be told; empty for a model that is whole."""
    todo = [("model", 0, memoryview(data))]
    graphs = 0
    try:
        while todo:
            kind, depth, message = todo.pop()
            if depth > _DEPTH_MAX:
                return f"it is nested deeper than {_DEPTH_MAX} messages"
            for number, value in _fields(message):
                if kind == "tensor" and number == _EXTERNAL_DATA:
                    return "it keeps weights in another file"
                if kind == "tensor" and number == _DATA_LOCATION and value:
                    return "it keeps weights in another file"
                if kind == "node" and number == _OP_TYPE and value == _COMPILED:
                    return "it holds a graph compiled for one kind of device"
                if inside := _INSIDE[kind].get(number):
                    if isinstance(value, int):
                        return "it is no ONNX file"
                    graphs += inside == "graph"
                    todo.append((inside, depth + 1, value))
    except (IndexError, ValueError):
        return "it is no ONNX file"
    return "" if graphs else "it is no ONNX file"


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field of a protobuf message. IndexError, ValueError: it is none."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, wire_type = key >> 3, key & 7
        value: int | memoryview
        if wire_type == _VARINT:
            value, at = _varint(message, at)
        elif wire_type in (_FIXED64, _FIXED32):
            value, at = 0, at + (8 if wire_type == _FIXED64 else 4)
        elif wire_type == _BYTES:
            size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
        else:
            raise ValueError(f"wire type {wire_type}")
        if at > end:
            raise IndexError("the message ends within a field")
        yield number, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that begins at a place, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError("a number of more than 10 bytes")
