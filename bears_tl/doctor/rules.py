"""The checks, as a table: what is wrong when, how bad that is, and the one command that mends it.

Sources: TF-slim and tf-keras, `inception/slim.py`; cuDNN 9.5, https://github.com/aws/deep-learning-containers/pull/6418;
RTX 50, https://github.com/tensorflow/tensorflow/issues/89272 and 101746; TensorBoard, the release notes of TensorFlow
2.21; ml_dtypes, https://github.com/onnx/onnx/issues/7249; drivers, NVIDIA's table of minor version compatibility.
"""

import dataclasses
import re
from collections.abc import Callable

from bears_tl.doctor.facts import Facts
from bears_tl.doctor.requirements import fits

GOOD, WARNING, BAD = "good", "warning", "bad"
GB = 10**9
LEAST_MEMORY = 4 * GB  # the first training, which converts the weights, took 3.0 GB; with a full cache 0.7 GB
LEAST_DISK, SMALL_DISK = GB // 2, 3 * GB
KNOWN_CUDNN = "9.24"  # works with TensorFlow 2.21; 9.5 does not
LEAST_DRIVER = "525.60"  # for CUDA 12
_WINDOWS_DRIVE = re.compile(r"/mnt/[a-z](/|$)")
_MODULES = {"PIL": "pillow", "yaml": "pyyaml", "skimage": "scikit-image", "sklearn": "scikit-learn"}


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of a check; `mend` is a command, "" where nothing needs to be done."""

    subject: str
    grade: str
    says: str
    mend: str = ""


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something that can be wrong: when, and what to say and do then."""

    grade: str
    when: Callable[[Facts], bool]
    says: Callable[[Facts], str]
    mend: Callable[[Facts], str]


@dataclasses.dataclass(frozen=True)
class Check:
    """A subject, what to say if it is good, and its faults; the first one that applies is reported.

    With a package, faults that any package can have come after its own: too old, too new, cannot be imported.
    """

    subject: str
    good: Callable[[Facts], str]
    faults: tuple[Fault, ...] = ()
    package: str = ""


def _install(*packages: str) -> Callable[[Facts], str]:
    quoted = " ".join(f"'{package}'" for package in packages)
    return lambda facts: f"{facts.install} {quoted}"


def _capability(facts: Facts) -> int:
    """Return the GPU's compute capability, 120 for 12.0; 0 if it is not known."""
    return int("".join(re.findall(r"\d", facts.gpu.get("compute_cap", ""))) or 0)


def _version(package: str) -> Callable[[Facts], str]:
    return lambda facts: facts.versions.get(package, "not installed, not needed")


CHECKS = (
    Check("system", lambda f: "WSL" if f.is_wsl else f"{f.system} {f.machine}", (
        Fault(BAD, lambda f: f.system == "Windows", lambda f: "Windows itself is not supported, Linux in it (WSL) is",
              lambda f: "wsl --install"),
        Fault(WARNING, lambda f: f.is_wsl and bool(_WINDOWS_DRIVE.match(f.folder)),
              lambda f: f"{f.folder} is on a drive of Windows, which is slow from WSL: work in your Linux home folder",
              lambda f: f"cp -r {f.folder} ~/ && cd ~/{f.folder.rstrip('/').rpartition('/')[2]}"),
        Fault(WARNING, lambda f: f.is_wsl and bool(_WINDOWS_DRIVE.match(f.cache)),
              lambda f: f"the cache {f.cache} is on a drive of Windows, which is slow from WSL",
              lambda f: "export BEARS_TL_CACHE=~/bears_tl_cache"),
    )),
    Check("Python", lambda f: f.python, (
        Fault(BAD, lambda f: not fits(f.python, ">=3.11,<3.14"),
              lambda f: f"{f.python}: bears_tl needs 3.11, 3.12 or 3.13", lambda f: "make setup PYTHON=python3.12"),
    )),
    Check("processor", lambda f: f"{f.processor}, {f.cores} cores", (
        Fault(BAD, lambda f: f.machine == "x86_64" and bool(f.instructions) and "avx" not in f.instructions,
              lambda f: f"{f.processor} lacks AVX, without which TensorFlow's own packages end Python",
              lambda f: "conda install -c conda-forge tensorflow"),
    )),
    Check("memory", lambda f: f"{f.memory / GB:.1f} GB", (
        Fault(WARNING, lambda f: f.memory < LEAST_MEMORY,
              lambda f: f"{f.memory / GB:.1f} GB; the first training takes 3 GB",
              lambda f: "bears train --set engine=openvino train_views=0"),
    )),
    Check("disk", lambda f: f"{f.disk_free / GB:.1f} GB free", (
        Fault(BAD, lambda f: f.disk_free < LEAST_DISK,
              lambda f: f"{f.disk_free / GB:.1f} GB free, too little for a run",
              lambda f: "bears prune --keep runs/*"),
        Fault(WARNING, lambda f: f.disk_free < SMALL_DISK,
              lambda f: f"{f.disk_free / GB:.1f} GB free; packages need 2 GB, features 12 kB a view",
              lambda f: "bears prune --keep runs/*"),
    )),
    Check("write access", lambda f: "runs, data, checkpoints, cache, temporary folder", (
        Fault(BAD, lambda f: bool(f.unwritable), lambda f: f"nothing can be written to {', '.join(f.unwritable)}",
              lambda f: f"sudo chown -R $(id -un) {' '.join(f.unwritable)}"),
    )),
    Check("TensorFlow", _version("tensorflow"), package="tensorflow"),
    Check("Keras", _version("keras"), (
        Fault(BAD, lambda f: fits(f.tensorflow or "0", ">=2.16") and f.has("keras", "<3"),
              lambda f: f"{f.versions['keras']}; TensorFlow {f.tensorflow} needs Keras 3 (from 2.16 on)",
              _install("keras>=3.12")),
    ), "keras"),
    Check("NumPy", _version("numpy"), (
        Fault(BAD, lambda f: f.kernel_started is not None and f.numpy_installed > f.kernel_started,
              lambda f: "it was replaced while this notebook's kernel was running, which holds parts of the old one: "
              "restart the runtime (Runtime > Restart session)",
              lambda f: "import os; os.kill(os.getpid(), 9)  # in a cell"),
    ), "numpy"),
    Check("tf-keras", _version("tf-keras"), (
        Fault(BAD, lambda f: "tf-keras" not in f.versions and fits(f.tensorflow or "0", ">=2.16"),
              lambda f: f"missing; tf-slim needs it with TensorFlow {f.tensorflow} (from 2.16 on)",
              lambda f: f"{f.install} 'tf-keras=={f.tensorflow}.*'"),
        Fault(BAD, lambda f: bool(f.tensorflow) and "tf-keras" in f.versions and not f.has("tf-keras",
                                                                                        f"=={f.tensorflow}.*"),
              lambda f: f"{f.versions['tf-keras']} does not fit TensorFlow {f.tensorflow}",
              lambda f: f"{f.install} 'tf-keras=={f.tensorflow}.*'"),
    ), "tf-keras"),
    Check("tf-slim", _version("tf-slim"), package="tf-slim"),
    Check("OpenVINO", _version("openvino"), (
        Fault(WARNING, lambda f: "openvino" in f.required and "openvino" not in f.versions,
              lambda f: "missing; TensorFlow computes the body instead, and starts slower",
              lambda f: f"{f.install} 'openvino{f.required['openvino']}'"),
        Fault(WARNING, lambda f: bool(f.errors.get("openvino")),
              lambda f: f"does not work, so TensorFlow computes the body: {f.errors['openvino']}",
              lambda f: f"{f.install} --force-reinstall openvino"),
    ), "openvino"),
    Check("GPU", lambda f: f"{f.gpu['name']}, driver {f.gpu['driver_version']}" if f.gpu else "none; not needed", (
        Fault(BAD, lambda f: bool(f.gpu) and not fits(f.gpu["driver_version"], f">={LEAST_DRIVER}"),
              lambda f: f"driver {f.gpu['driver_version']}; CUDA 12 needs {LEAST_DRIVER} or later",
              lambda f: "sudo ubuntu-drivers install"),
        Fault(BAD, lambda f: f.is_wsl and f.gpu_is_likely and not f.gpu,
              lambda f: "WSL has a GPU, but Linux does not find its driver (never install one inside WSL)",
              lambda f: "export PATH=$PATH:/usr/lib/wsl/lib LD_LIBRARY_PATH=/usr/lib/wsl/lib:$LD_LIBRARY_PATH"),
        Fault(BAD, lambda f: bool(f.built_for) and _capability(f) >= 120 > max(f.built_for),
              lambda f: f"{f.gpu['name']} (RTX 50 generation) is newer than the kernels of TensorFlow {f.tensorflow}, "
              "which fail with CUDA_ERROR_INVALID_PTX: compute on the processor",
              lambda f: "export CUDA_VISIBLE_DEVICES=-1"),
        Fault(WARNING, lambda f: bool(f.gpu) and f.gpus == 0 and "nvidia-cudnn-cu12" not in f.versions,
              lambda f: f"{f.gpu['name']} is not used, because TensorFlow's CUDA packages are missing",
              lambda f: f"{f.install} 'tensorflow[and-cuda]{f.required.get('tensorflow', '')}' "
              f"'nvidia-cudnn-cu12>={KNOWN_CUDNN}'"),
        Fault(WARNING, lambda f: bool(f.gpu) and f.gpus == 0,
              lambda f: f"{f.gpu['name']} is not used, although TensorFlow's CUDA packages are installed",
              lambda f: f"{f.install} --force-reinstall 'tensorflow[and-cuda]{f.required.get('tensorflow', '')}'"),
    )),
    Check("CUDA", lambda f: f.versions.get("nvidia-cuda-runtime-cu12", "no packages, not needed")),
    Check("cuDNN", _version("nvidia-cudnn-cu12"), (
        Fault(BAD, lambda f: fits(f.tensorflow or "0", ">=2.21") and f.has("nvidia-cudnn-cu12", "<9.6"),
              lambda f: f"{f.versions['nvidia-cudnn-cu12']}; fused convolutions of TensorFlow {f.tensorflow} fail with "
              "cuDNN 9.5", _install(f"nvidia-cudnn-cu12>={KNOWN_CUDNN},<10")),
    )),
    Check("TensorBoard", lambda f: f.versions.get("tensorboard", "not installed; only needed to look at logs, and "
                                                  "TensorFlow does not bring it from 2.21 on")),
    Check("ONNX", _version("onnx"), (
        Fault(BAD, lambda f: f.has("onnx", ">=1.19") and f.has("ml-dtypes", "<0.5"),
              lambda f: f"onnx {f.versions['onnx']} needs ml_dtypes 0.5 or later, not {f.versions['ml-dtypes']}",
              _install("ml_dtypes>=0.5.4,<1")),
        Fault(BAD, lambda f: f.has("onnx", ">=1.18") and f.has("tf2onnx", "<1.17"),
              lambda f: f"tf2onnx {f.versions['tf2onnx']} does not work with onnx {f.versions['onnx']}",
              _install("tf2onnx>=1.17")),
    )),
    Check("Colab", lambda f: f.colab or "no"),
    Check("photos", lambda f: f"of all {f.runs} run(s) are there" if f.runs else "no run yet; the sample needs none", (
        Fault(WARNING, lambda f: bool(f.photos_gone),
              lambda f: f"the folder {f.photos_gone[0][1]} of the run {f.photos_gone[0][0]} is gone: put it back, or "
              "train on other photos" + f" ({len(f.photos_gone)} such runs)" * (len(f.photos_gone) > 1),
              lambda f: "bears train --run runs/new --set photos=FOLDER"),
    )),
    Check("weights", lambda f: ", ".join(f.weights), (
        Fault(BAD, lambda f: bool(f.weights_changed), lambda f: f"{f.weights_changed[0]} is cut off or was changed",
              lambda f: f"rm {f.weights_changed[0]}"),
        Fault(WARNING, lambda f: not f.weights,
              lambda f: "none in checkpoints/; the next training downloads them, or uses random ones without a network",
              lambda f: "curl --create-dirs -o checkpoints/inception_v3_2016_08_28.tar.gz "
              "https://download.tensorflow.org/models/inception_v3_2016_08_28.tar.gz"),
    )),
)  # fmt: skip

# What an import says, and the command that mends it; {package} and {module} are filled in. The first that fits counts.
IMPORT_ERRORS = (
    (r"No module named '(?P<module>\w+)", "it needs {module}", "{install} '{module}{module_bounds}'"),
    (r"ml_dtypes", "it needs another ml_dtypes", "{install} --upgrade 'ml_dtypes>=0.5.4,<1'"),
    (r"protobuf|Descriptors cannot|gencode", "it needs another protobuf", "{install} 'protobuf>=6.31.1,<8'"),
    (r"dtype size changed|compiled using NumPy 1|_ARRAY_API|numpy\.core\.multiarray|numpy\._core",
     "it was compiled for another NumPy",
     "{install} --force-reinstall --no-deps '{package}=={version}' 'numpy{numpy}'"),
    (r"SIGILL", "the processor lacks instructions", "conda install -c conda-forge {package}"),
    ("", "it is damaged", "{install} --force-reinstall --no-deps '{package}=={version}'"),
)  # fmt: skip


def examine(facts: Facts) -> list[Finding]:
    """Return all findings: missing packages first, in one, then those of the checks, then packages without a check."""
    found = _missing(facts)
    found += [_finding(check, facts) for check in CHECKS if not found or check.package not in _lacking(facts)]
    rest = [name for name in (*facts.required, *facts.errors) if name not in {check.package for check in CHECKS}]
    faults = [_package_fault(name, name, facts) for name in dict.fromkeys(rest)]
    good = [f"{name} {facts.versions[name]}" for name, fault in zip(dict.fromkeys(rest), faults, strict=True)
            if not fault and name in facts.versions]  # fmt: skip
    return found + [fault for fault in faults if fault] + [Finding("other", GOOD, ", ".join(good))] * bool(good)


def _lacking(facts: Facts) -> list[str]:
    """Return the packages that are missing, without those whose check says so itself."""
    own = {"openvino"} | ({"tf-keras"} if facts.tensorflow else set())
    return [name for name in facts.required if name not in facts.versions and name not in own]


def _missing(facts: Facts) -> list[Finding]:
    if not (names := _lacking(facts)):
        return []
    wanted = " ".join(f"'{name}{facts.required[name]}'" for name in names)
    return [Finding("packages", BAD, f"missing: {', '.join(names)}", f"{facts.install} {wanted}")]


def _finding(check: Check, facts: Facts) -> Finding:
    for fault in check.faults:
        if fault.when(facts):
            return Finding(check.subject, fault.grade, fault.says(facts), fault.mend(facts))
    general = _package_fault(check.subject, check.package, facts)
    return general or Finding(check.subject, GOOD, check.good(facts))


def _package_fault(subject: str, name: str, facts: Facts) -> Finding | None:
    """Return what is wrong with an installed package: its version, or its import."""
    version, bounds = facts.versions.get(name), facts.required.get(name, "")
    if version is None:
        return None
    if not fits(version, bounds):
        return Finding(subject, BAD, f"{version}; {name}{bounds} is needed", f"{facts.install} '{name}{bounds}'")
    error = facts.errors.get(name)
    if not error:
        return None
    pattern, why, mend = next(row for row in IMPORT_ERRORS if re.search(row[0], error))
    module = re.search(pattern, error).groupdict().get("module", "")
    module = _MODULES.get(module, module.replace("_", "-"))
    words = {"install": facts.install, "package": name, "version": version, "module": module}
    words |= {"module_bounds": facts.required.get(module, ""), "numpy": facts.required.get("numpy", "")}
    grade = BAD if name in facts.required else WARNING
    return Finding(subject, grade, f"cannot be imported, {why.format(**words)}: {error}", mend.format(**words))
