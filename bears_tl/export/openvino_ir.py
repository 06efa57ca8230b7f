"""The classifier as OpenVINO's IR."""

from pathlib import Path

from bears_tl.errors import InputError, reason_of
from bears_tl.export.classifier import OUTPUTS
from bears_tl.inception.openvino_engine import load_openvino


def write(graph, path: Path, contract: str) -> None:
    """Write .xml and .bin in float32, uint8 [n, 299, 299, 3] to `classifier.OUTPUTS`.

    Args:
        graph: tf.compat.v1.GraphDef, see `classifier.build`.
        path: the .xml file; its folder must exist.
        contract: kept in the model, in `rt_info` under `contract`.

    Raises:
        EngineError: OpenVINO cannot be used.
        InputError: the files could not be written.
    """
    openvino, frozen = load_openvino(), path.with_suffix(".pb")
    frozen.write_bytes(graph.SerializeToString(deterministic=True))
    try:
        model = openvino.Core().read_model(str(frozen))
        model = openvino.Model([model.output(f"{name}:0") for name in OUTPUTS], model.get_parameters())
        for output, name in zip(model.outputs, OUTPUTS, strict=True):
            output.set_names({name})
        model.set_rt_info(contract, "contract")
        openvino.save_model(model, str(path), compress_to_fp16=False)
    except RuntimeError as error:
        raise InputError(
            f"OpenVINO's IR could not be written ({reason_of(error)}): free some space and run again"
        ) from None
    finally:
        frozen.unlink()
