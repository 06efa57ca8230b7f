"""The classifier as ONNX."""

from bears_tl.export.classifier import OUTPUTS
from bears_tl.inception.frozen import PIXELS
from bears_tl.tensorflow import quiet_stderr

OPSET = 18  # ONNX Runtime reads it from 1.14 on (2023)


def convert(graph, contract: str) -> bytes:
    """Convert a graph with tf2onnx; takes about 20 seconds.

    Args:
        graph: tf.compat.v1.GraphDef, see `classifier.build`.
        contract: kept in the model's metadata under `contract`.

    Returns:
        The .onnx file: uint8 [n, 299, 299, 3] to `classifier.OUTPUTS`.
    """
    import logging

    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    names = [f"{name}:0" for name in OUTPUTS]
    with quiet_stderr():
        model, _ = tf2onnx.convert.from_graph_def(graph, input_names=[f"{PIXELS}:0"], output_names=names, opset=OPSET)
    plain = {f"{name}:0": name for name in (PIXELS, *OUTPUTS)}  # tf2onnx keeps TensorFlow's `:0`
    for node in model.graph.node:
        for ends in (node.input, node.output):
            ends[:] = [plain.get(name, name) for name in ends]
    for value in (*model.graph.input, *model.graph.output):
        value.name = plain[value.name]
    model.metadata_props.add(key="contract", value=contract)
    return model.SerializeToString()
