"""The 94 convolutions of Inception v3, and the variables that a checkpoint must hold for them."""

# The 94 convolutions of slim's inception_v3_base, in order of creation
# (https://github.com/google-research/tf-slim/blob/master/tf_slim/nets/inception_v3.py), with channels in>out. A number
# before a name stands for `Branch_<number>`. A name ends in the kernel's size, except for one mistake of slim in 6a. It
# and two other misnomers (5c's Conv_1_0c_5x5, 7b's Conv2d_0b_3x1) are kept, because the published weights use them.
_WIDE = (
    "0/Conv2d_0a_1x1 1/Conv2d_0a_1x1 1/Conv2d_0b_1x7 1/Conv2d_0c_7x1 2/Conv2d_0a_1x1 2/Conv2d_0b_7x1 2/Conv2d_0c_1x7 "
    "2/Conv2d_0d_7x1 2/Conv2d_0e_1x7 3/Conv2d_0b_1x1"
)
_BLOCKS = {
    "": (
        "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3",
        "3>32 32>32 32>64 64>80 80>192",
    ),
    "Mixed_5b": (
        "0/Conv2d_0a_1x1 1/Conv2d_0a_1x1 1/Conv2d_0b_5x5 2/Conv2d_0a_1x1 2/Conv2d_0b_3x3 2/Conv2d_0c_3x3 "
        "3/Conv2d_0b_1x1",
        "192>64 192>48 48>64 192>64 64>96 96>96 192>32",
    ),
    "Mixed_5c": (
        "0/Conv2d_0a_1x1 1/Conv2d_0b_1x1 1/Conv_1_0c_5x5 2/Conv2d_0a_1x1 2/Conv2d_0b_3x3 2/Conv2d_0c_3x3 "
        "3/Conv2d_0b_1x1",
        "256>64 256>48 48>64 256>64 64>96 96>96 256>64",
    ),
    "Mixed_5d": (
        "0/Conv2d_0a_1x1 1/Conv2d_0a_1x1 1/Conv2d_0b_5x5 2/Conv2d_0a_1x1 2/Conv2d_0b_3x3 2/Conv2d_0c_3x3 "
        "3/Conv2d_0b_1x1",
        "288>64 288>48 48>64 288>64 64>96 96>96 288>64",
    ),
    "Mixed_6a": (
        "0/Conv2d_1a_1x1 1/Conv2d_0a_1x1 1/Conv2d_0b_3x3 1/Conv2d_1a_1x1",
        "288>384 288>64 64>96 96>96",
    ),
    "Mixed_6b": (_WIDE, "768>192 768>128 128>128 128>192 768>128 128>128 128>128 128>128 128>192 768>192"),
    "Mixed_6c": (_WIDE, "768>192 768>160 160>160 160>192 768>160 160>160 160>160 160>160 160>192 768>192"),
    "Mixed_6d": (_WIDE, "768>192 768>160 160>160 160>192 768>160 160>160 160>160 160>160 160>192 768>192"),
    "Mixed_6e": (_WIDE, "768>192 768>192 192>192 192>192 768>192 192>192 192>192 192>192 192>192 768>192"),
    "Mixed_7a": (
        "0/Conv2d_0a_1x1 0/Conv2d_1a_3x3 1/Conv2d_0a_1x1 1/Conv2d_0b_1x7 1/Conv2d_0c_7x1 1/Conv2d_1a_3x3",
        "768>192 192>320 768>192 192>192 192>192 192>192",
    ),
    "Mixed_7b": (
        "0/Conv2d_0a_1x1 1/Conv2d_0a_1x1 1/Conv2d_0b_1x3 1/Conv2d_0b_3x1 2/Conv2d_0a_1x1 2/Conv2d_0b_3x3 "
        "2/Conv2d_0c_1x3 2/Conv2d_0d_3x1 3/Conv2d_0b_1x1",
        "1280>320 1280>384 384>384 384>384 1280>448 448>384 384>384 384>384 1280>192",
    ),
    "Mixed_7c": (
        "0/Conv2d_0a_1x1 1/Conv2d_0a_1x1 1/Conv2d_0b_1x3 1/Conv2d_0c_3x1 2/Conv2d_0a_1x1 2/Conv2d_0b_3x3 "
        "2/Conv2d_0c_1x3 2/Conv2d_0d_3x1 3/Conv2d_0b_1x1",
        "2048>320 2048>384 384>384 384>384 2048>448 448>384 384>384 384>384 2048>192",
    ),
}


def _kernels() -> dict[str, tuple[int, ...]]:
    """Return the scope of each convolution and the shape of its kernel."""
    shapes = {}
    for block, (names, channels) in _BLOCKS.items():
        for name, pair in zip(names.split(), channels.split(), strict=True):
            size = "3x3" if (block, name[2:]) == ("Mixed_6a", "Conv2d_1a_1x1") else name.rpartition("_")[2]
            place = [block, f"Branch_{name}"] if block else [name]
            shapes["/".join(["InceptionV3", *place])] = (*map(int, size.split("x")), *map(int, pair.split(">")))
    return shapes


def count_by_block(values: dict) -> dict[str, int]:
    """Count the numbers in each block, in order: variable name, as TF-slim names it, to an array."""
    counts = {}
    for name, array in values.items():
        block = name.split("/")[1]
        counts[block] = counts.get(block, 0) + array.size
    return counts


_KERNELS = _kernels()
CONVOLUTIONS = tuple(_KERNELS)
# The variables of a convolution, in the order of Keras' weights (batch norm without a scale, as trained by slim).
VARIABLES = ("weights", "BatchNorm/beta", "BatchNorm/moving_mean", "BatchNorm/moving_variance")
# The variables that a checkpoint must hold for the body: TF-slim's name to shape.
BODY = {
    f"{scope}/{variable}": shape if variable == "weights" else shape[3:]
    for scope, shape in _KERNELS.items()
    for variable in VARIABLES
}
BASE_VALUES = 21_802_784  # in the 376 variables of the body
FEATURES_NAME = "features"  # the output with these numbers
DEPTHS = {"Mixed_6e": 768, "Mixed_7a": 1280, "Mixed_7b": 2048, "Mixed_7c": 2048}  # further outputs: block -> channels
FEATURES = 2048  # numbers of FEATURES_NAME per view: the channels of Mixed_7c, averaged over its 8 x 8 positions
LAST = ("Mixed_7c",)
POOLED_NAME = "pooled"  # the output with the channels of all DEPTHS, each averaged over its positions
POOLED = sum(DEPTHS.values())  # numbers of POOLED_NAME per view: 6,144
GRAPH_VERSION = 3  # increase it when the frozen graph changes, but not the bits of a feature
VERSION = 2  # increase it when the bits of a feature change, so that cached graphs and features are recomputed


def columns(depths: tuple[str, ...]) -> slice:
    """Return the columns of depths that follow each other in POOLED_NAME."""
    names = list(DEPTHS)
    first, after = names.index(depths[0]), names.index(depths[-1]) + 1
    assert depths == tuple(names[first:after])
    return slice(sum(DEPTHS[name] for name in names[:first]), sum(DEPTHS[name] for name in names[:after]))
