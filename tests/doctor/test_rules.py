"""The table of checks, on made-up machines: each fault is found, graded, and has a command that would mend it."""

import dataclasses

import pytest

from bears_tl.doctor.facts import Facts
from bears_tl.doctor.requirements import required
from bears_tl.doctor.rules import BAD, CHECKS, GOOD, WARNING, examine

REQUIRED = {
    "tensorflow": ">=2.19,<2.22", "tf-keras": ">=2.19,<2.22", "tf-slim": "==1.1.0", "openvino": ">=2025.0",
    "numpy": ">=2.0", "papermill": ">=2.6",
}  # fmt: skip
VERSIONS = {
    "tensorflow": "2.21.0", "keras": "3.15.1", "tf-keras": "2.21.0", "tf-slim": "1.1.0", "openvino": "2026.4.1",
    "numpy": "2.4.6", "papermill": "2.7.0",
}  # fmt: skip
WELL = Facts(versions=VERSIONS, required=REQUIRED, errors=dict.fromkeys(VERSIONS, ""))
GPU = {"name": "NVIDIA L4", "driver_version": "580.65.06", "compute_cap": "8.9"}
RTX50 = {"name": "NVIDIA GeForce RTX 5080", "driver_version": "580.65.06", "compute_cap": "12.0"}


def ill(without=(), versions=None, errors=None, **changes):
    """Give the findings that are not good, of a machine that differs from a good one in this."""
    had = {name: version for name, version in VERSIONS.items() if name not in without} | (versions or {})
    facts = dataclasses.replace(WELL, versions=had, errors=WELL.errors | (errors or {}), **changes)
    return [finding for finding in examine(facts) if finding.grade != GOOD]


def test_a_machine_on_which_nothing_is_wrong_gets_no_command():
    findings = examine(WELL)
    assert not [finding for finding in findings if finding.grade != GOOD or finding.mend]
    assert [finding.subject for finding in findings] == [*(check.subject for check in CHECKS), "other"]


@pytest.mark.parametrize(
    ("changes", "subject", "grade", "mend"),
    [
        ({"without": ["tf-keras"]}, "tf-keras", BAD, "python -m pip install 'tf-keras==2.21.*'"),
        ({"versions": {"tensorflow": "2.20.0"}}, "tf-keras", BAD, "python -m pip install 'tf-keras==2.20.*'"),
        ({"versions": {"keras": "2.15.0"}}, "Keras", BAD, "python -m pip install 'keras>=3.12'"),
        ({"versions": {"papermill": "2.5"}}, "papermill", BAD, "python -m pip install 'papermill>=2.6'"),
        ({"without": ["openvino"]}, "OpenVINO", WARNING, "python -m pip install 'openvino>=2025.0'"),
        ({"errors": {"openvino": "ImportError: libopenvino.so"}}, "OpenVINO", WARNING, "--force-reinstall openvino"),
        ({"without": ["papermill", "tf-slim"]}, "packages", BAD, "install 'tf-slim==1.1.0' 'papermill>=2.6'"),
        ({"versions": {"numpy": "1.26.4"}}, "NumPy", BAD, "'numpy>=2.0'"),
        ({"kernel_started": 50.0, "numpy_installed": 60.0}, "NumPy", BAD, "os.kill(os.getpid(), 9)"),
        ({"gpu": GPU, "gpus": 1, "versions": {"nvidia-cudnn-cu12": "9.5.1.17"}}, "cuDNN", BAD,
         "install 'nvidia-cudnn-cu12>=9.24,<10'"),
        ({"gpu": GPU, "gpus": 0}, "GPU", WARNING, "'tensorflow[and-cuda]>=2.19,<2.22' 'nvidia-cudnn-cu12>=9.24'"),
        ({"gpu": GPU | {"driver_version": "470.82.01"}, "gpus": 0}, "GPU", BAD, "ubuntu-drivers install"),
        ({"gpu": RTX50, "gpus": 1}, "GPU", BAD, "export CUDA_VISIBLE_DEVICES=-1"),
        ({"is_wsl": True, "gpu_is_likely": True}, "GPU", BAD, "/usr/lib/wsl/lib"),
        ({"is_wsl": True, "folder": "/mnt/c/Users/me/bears_tl"}, "system", WARNING, "~/bears_tl"),
        ({"is_wsl": True, "cache": "/mnt/d/cache"}, "system", WARNING, "export BEARS_TL_CACHE="),
        ({"system": "Windows"}, "system", BAD, "wsl --install"),
        ({"python": "3.14.0"}, "Python", BAD, "make setup PYTHON=python3.12"),
        ({"python": "3.10.12"}, "Python", BAD, "make setup PYTHON=python3.12"),
        ({"instructions": frozenset({"sse4_2"})}, "processor", BAD, "conda-forge"),
        ({"memory": 10**9}, "memory", WARNING, "bears train"),
        ({"disk_free": 10**8}, "disk", BAD, "bears prune"),
        ({"disk_free": 10**9}, "disk", WARNING, "bears prune"),
        ({"unwritable": ("runs",)}, "write access", BAD, "chown -R $(id -un) runs"),
        ({"versions": {"onnx": "1.19.0", "ml-dtypes": "0.4.1"}}, "ONNX", BAD, "'ml_dtypes>=0.5.4,<1'"),
        ({"versions": {"onnx": "1.23.2", "ml-dtypes": "0.6.0", "tf2onnx": "1.16.1"}}, "ONNX", BAD, "'tf2onnx>=1.17'"),
        ({"photos_gone": (("runs/a", "/gone"),), "runs": 1}, "photos", WARNING, "photos=FOLDER"),
        ({"weights": ()}, "weights", WARNING, "curl"),
        ({"weights_changed": ("checkpoints/x.ckpt",)}, "weights", BAD, "rm checkpoints/x.ckpt"),
    ],
)  # fmt: skip
def test_a_fault_is_found_alone_and_has_a_command(changes, subject, grade, mend):
    (finding,) = ill(**changes)
    assert (finding.subject, finding.grade) == (subject, grade)
    assert mend in finding.mend and "\n" not in finding.says + finding.mend


@pytest.mark.parametrize(
    "changes",
    [
        {"versions": {"nvidia-cudnn-cu12": "9.24.0.43"}},
        {"versions": {"nvidia-cudnn-cu12": "9.5.1.17", "tensorflow": "2.20.0", "tf-keras": "2.20.1"}},
        {"gpu": RTX50, "gpus": 1, "built_for": (90, 120)},
        {"gpu": GPU, "gpus": 1},
        {"kernel_started": 60.0, "numpy_installed": 50.0},
        {"is_wsl": True, "folder": "/mnt/wslg/me"},
        {"versions": {"onnx": "1.19.0", "ml-dtypes": "0.5.4"}},
        {"machine": "aarch64", "instructions": frozenset({"asimd"})},
        {"python": "3.13.9"},
    ],
)
def test_what_is_right_beside_a_fault_is_good(changes):
    assert ill(**changes) == []


@pytest.mark.parametrize(
    ("name", "error", "mend"),
    [
        ("tf-slim", "ModuleNotFoundError: No module named 'absl'", "python -m pip install 'absl'"),
        ("papermill", "ModuleNotFoundError: No module named 'yaml.x'", "python -m pip install 'pyyaml'"),
        ("tensorflow", "AttributeError: module 'ml_dtypes' has no attribute 'float4_e2m1fn'", "--upgrade 'ml_dtypes"),
        ("tensorflow", "TypeError: Descriptors cannot be created directly.", "install 'protobuf"),
        ("papermill", "ValueError: numpy.dtype size changed, may indicate binary incompatibility",
         "--force-reinstall --no-deps 'papermill==2.7.0' 'numpy>=2.0'"),
        ("tensorflow", "importing it ends Python with SIGILL", "conda install -c conda-forge tensorflow"),
        ("papermill", "SyntaxError: null bytes", "--force-reinstall --no-deps 'papermill==2.7.0'"),
    ],
)  # fmt: skip
def test_a_package_that_cannot_be_imported_has_a_command(name, error, mend):
    (finding,) = ill(errors={name: error})
    assert finding.grade == BAD and error in finding.says and mend in finding.mend


def test_what_development_and_extras_add_is_a_warning_only():
    (finding,) = ill(versions={"onnxruntime": "1.32.0"}, errors={"onnxruntime": "ImportError: x"})
    assert (finding.subject, finding.grade) == ("onnxruntime", WARNING)


def test_the_ranges_are_those_of_the_project():
    assert required()["tf-slim"] == "==1.1.0" and "numpy" in required() and "ruff" not in required()
