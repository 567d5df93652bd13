"""Turns the safetensors of all-MiniLM-L6-v2 into an ONNX graph with 8-bit weights, using the standard library only.

Why by hand: numpy, onnx and torch would have to be fetched for whatever Python the machine has, while six BERT layers
are a few dozen nodes, and ONNX is a protobuf of four message kinds. IEEE arithmetic in one order also makes the file
the same, byte for byte, on every machine, so that `fetch.py` can check its hash.

Weights of the linear layers become blocks of 32 bytes with one f32 scale (com.microsoft.MatMulNBits, symmetric around
128); embeddings, biases and norms stay f32. Pooling and normalisation are left to the caller.
"""

import array
import json
import struct
import sys

FLOAT, UINT8, INT32, INT64 = 1, 2, 6, 7
LAYERS, HIDDEN, HEADS, INNER = 6, 384, 12, 1536
BLOCK = 32
# Activations are rounded to 8 bits per block of 32 as well, which is what lets the processor multiply integers.
ACCURACY_LEVEL = 4


# --- protobuf -------------------------------------------------------------------------------------------------------

def varint(number):
    """A non-negative whole number in base 128, lowest digit first."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """One field: whole numbers as varints, text and bytes with their length, floats as four bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


# --- ONNX -----------------------------------------------------------------------------------------------------------

def attribute(name, value):
    """An AttributeProto that holds a float or a whole number."""
    if isinstance(value, float):
        return field(1, name) + field(2, value) + field(20, 1)
    return field(1, name) + field(3, value) + field(20, 2)


def value_info(name, kind, dimensions):
    """A graph's input or output; a dimension is a number, or a name where it varies."""
    shape = b"".join(field(1, field(1 if isinstance(d, int) else 2, d)) for d in dimensions)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


class Graph:
    """Nodes and initializers in the order in which they were added."""

    def __init__(self):
        self.nodes = []
        self.initializers = []

    def node(self, kind, inputs, output, domain="", **attributes):
        """Adds a node; `output` is one name or several. Returns it."""
        outputs = [output] if isinstance(output, str) else output
        parts = [field(1, name) for name in inputs] + [field(2, name) for name in outputs]
        parts += [field(3, outputs[0]), field(4, kind)]
        parts += [field(5, attribute(name, value)) for name, value in attributes.items()]
        self.nodes.append(field(1, b"".join(parts + [field(7, domain)])))
        return output

    def constant(self, name, kind, dimensions, data):
        """Adds an initializer of little-endian `data`. Returns its name."""
        parts = [field(1, d) for d in dimensions] + [field(2, kind), field(8, name), field(9, bytes(data))]
        self.initializers.append(field(5, b"".join(parts)))
        return name

    def model(self, inputs, outputs):
        """The whole file."""
        values = [field(11, info) for info in inputs] + [field(12, info) for info in outputs]
        graph = b"".join(self.nodes + [field(2, "encoder")] + self.initializers + values)
        opsets = field(8, field(1, "") + field(2, 17)) + field(8, field(1, "com.microsoft") + field(2, 1))
        return field(1, 8) + field(2, "pointsman") + field(7, graph) + opsets


# --- weights --------------------------------------------------------------------------------------------------------

class Weights:
    """The tensors of a safetensors file, as f32."""

    def __init__(self, path):
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            self.header = json.loads(file.read(length))
            self.data = file.read()

    def bytes(self, name):
        """The little-endian bytes of one tensor."""
        entry = self.header[name]
        if entry["dtype"] != "F32":
            raise ValueError(f"{name} is {entry['dtype']}, expected F32")
        start, end = entry["data_offsets"]
        return self.data[start:end]


def floats(data):
    """Little-endian f32 bytes as an array, on machines of either byte order."""
    values = array.array("f", data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def quantize(data):
    """f32 bytes, in rows of a multiple of 32, as (bytes around 128, f32 scales)."""
    values = floats(data)
    starts = range(0, len(values), BLOCK)
    peaks = [max(max(values[at:at + BLOCK]), -min(values[at:at + BLOCK])) for at in starts]
    # Rounded to f32 before use: the reader multiplies by what is stored.
    scales = array.array("f", [peak / 127.0 for peak in peaks])
    out = bytearray()
    for at, scale in zip(starts, scales):
        inverse = 1.0 / scale if scale else 0.0
        out += bytes([int(value * inverse + 128.5) for value in values[at:at + BLOCK]])
    if sys.byteorder == "big":
        scales.byteswap()
    return bytes(out), scales.tobytes()


# --- the encoder ----------------------------------------------------------------------------------------------------

def linear(graph, name, source, weight, rows, columns, bias=None):
    """`source` times the transposed `weight` [rows, columns], plus `bias`. Returns the output's name."""
    codes, scales = quantize(weight)
    blocks = columns // BLOCK
    inputs = [
        source,
        graph.constant(f"{name}.codes", UINT8, [rows, blocks, BLOCK], codes),
        graph.constant(f"{name}.scales", FLOAT, [rows * blocks], scales),
    ]
    product = graph.node(
        "MatMulNBits", inputs, f"{name}.product", "com.microsoft",
        K=columns, N=rows, bits=8, block_size=BLOCK, accuracy_level=ACCURACY_LEVEL,
    )
    if bias is None:
        return product
    return graph.node("Add", [product, graph.constant(f"{name}.bias", FLOAT, [rows], bias)], f"{name}.sum")


def add_and_norm(graph, name, source, skip, weights, norm, bias, output):
    """LayerNorm of `source + bias + skip`. Returns the output's name."""
    inputs = [
        source,
        skip,
        graph.constant(f"{name}.gamma", FLOAT, [HIDDEN], weights.bytes(f"{norm}.weight")),
        graph.constant(f"{name}.beta", FLOAT, [HIDDEN], weights.bytes(f"{norm}.bias")),
        graph.constant(f"{name}.skip_bias", FLOAT, [HIDDEN], weights.bytes(bias)),
    ]
    return graph.node("SkipLayerNormalization", inputs, output, "com.microsoft", epsilon=1e-12)


def embeddings(graph, weights):
    """Words, places and segments, added and normed. Returns the output's name."""
    tables = {}
    for name, rows in (("word", 30522), ("position", 512), ("token_type", 2)):
        data = weights.bytes(f"embeddings.{name}_embeddings.weight")
        tables[name] = graph.constant(f"embed.{name}", FLOAT, [rows, HIDDEN], data)
    zero = graph.constant("embed.zero", INT64, [1], struct.pack("<q", 0))
    length = graph.node("Shape", ["input_ids"], "embed.length", start=1, end=2)
    places = graph.node("Slice", [tables["position"], zero, length], "embed.places")
    words = graph.node("Gather", [tables["word"], "input_ids"], "embed.words")
    kinds = graph.node("Gather", [tables["token_type"], "token_type_ids"], "embed.kinds")
    total = graph.node("Add", [graph.node("Add", [words, kinds], "embed.partial"), places], "embed.total")
    gamma = graph.constant("embed.gamma", FLOAT, [HIDDEN], weights.bytes("embeddings.LayerNorm.weight"))
    beta = graph.constant("embed.beta", FLOAT, [HIDDEN], weights.bytes("embeddings.LayerNorm.bias"))
    return graph.node("LayerNormalization", [total, gamma, beta], "embed.normed", epsilon=1e-12)


def layer(graph, weights, number, source, output):
    """One transformer layer. Returns the output's name."""
    prefix, name = f"encoder.layer.{number}", f"layer{number}"
    heads = [f"{prefix}.attention.self.{part}" for part in ("query", "key", "value")]
    stacked = b"".join(weights.bytes(f"{head}.weight") for head in heads)
    bias = b"".join(weights.bytes(f"{head}.bias") for head in heads)
    joint = linear(graph, f"{name}.qkv", source, stacked, 3 * HIDDEN, HIDDEN)
    parts = graph.node("Split", [joint, "thirds"], [f"{name}.q", f"{name}.k", f"{name}.v"], axis=2)
    bias = graph.constant(f"{name}.qkv.bias", FLOAT, [3 * HIDDEN], bias)
    mixed = graph.node(
        "MultiHeadAttention", parts + [bias, "mask"], f"{name}.mixed", "com.microsoft", num_heads=HEADS
    )
    attended = f"{prefix}.attention.output"
    out = linear(graph, f"{name}.out", mixed, weights.bytes(f"{attended}.dense.weight"), HIDDEN, HIDDEN)
    middle = add_and_norm(
        graph, f"{name}.norm1", out, source, weights, f"{attended}.LayerNorm", f"{attended}.dense.bias",
        f"{name}.attended",
    )
    up = linear(
        graph, f"{name}.up", middle, weights.bytes(f"{prefix}.intermediate.dense.weight"), INNER, HIDDEN,
    )
    inner = graph.constant(f"{name}.up.bias", FLOAT, [INNER], weights.bytes(f"{prefix}.intermediate.dense.bias"))
    active = graph.node("BiasGelu", [up, inner], f"{name}.active", "com.microsoft")
    down = linear(graph, f"{name}.down", active, weights.bytes(f"{prefix}.output.dense.weight"), HIDDEN, INNER)
    return add_and_norm(
        graph, f"{name}.norm2", down, middle, weights, f"{prefix}.output.LayerNorm", f"{prefix}.output.dense.bias",
        output,
    )


def encoder(path):
    """The ONNX file of the encoder whose safetensors lie at `path`, as bytes."""
    weights = Weights(path)
    graph = Graph()
    state = embeddings(graph, weights)
    graph.node("Cast", ["attention_mask"], "mask", to=INT32)
    graph.constant("thirds", INT64, [3], struct.pack("<3q", HIDDEN, HIDDEN, HIDDEN))
    for number in range(LAYERS):
        last = number == LAYERS - 1
        state = layer(graph, weights, number, state, "last_hidden_state" if last else f"layer{number}.state")
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = [value_info(name, INT64, ["batch", "sequence"]) for name in names]
    return graph.model(inputs, [value_info("last_hidden_state", FLOAT, ["batch", "sequence", HIDDEN])])


if __name__ == "__main__":
    with open(sys.argv[2], "wb") as target:
        target.write(encoder(sys.argv[1]))
