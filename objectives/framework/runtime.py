"""Imports the framework into this process, and sets its threads, determinism and GPU memory.

These settings apply to the whole process; `training.py` has the settings of one training.
"""

import contextlib
import gc
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from objectives.base import FitOptions
from objectives.errors import ModelError
from objectives.files.atomic import cache_root
from objectives.framework.backend import backend_name, use_backend

CPU_INFO = Path("/proc/cpuinfo")

GPU_MEMORY = "STUDY_GPU_MEMORY"
"""Environment variable of a worker: JSON of its share of GPU memory and the GPU's total, in MiB."""

_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "GLOG_minloglevel": "3",
    # Several workers may share a device, so none may take all of its memory at the start.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}
# By default TensorFlow uses oneDNN's kernels on the newest CPUs only. With AVX2 they train about
# 1.6 times as many images a second; their last bits differ, so studies fix the choice.
KERNELS = {"TF_ENABLE_ONEDNN_OPTS": "1"} if platform.machine() in ("x86_64", "AMD64") else {}
# Lines of absl's log of severity I and W, and the line that announces them.
_NOISE = re.compile(
    rb"WARNING: All log messages before|[IW]\d{4} |\d{4}-\d\d-\d\d .{8,20}: [IW] |\s*$"
)
# Keras imports these, training never uses them, and they import scikit-learn and most of SciPy: a
# fifth of the import time of Keras and TensorFlow.
_LATE = ("keras.wrappers", "keras._tf_keras.keras.wrappers")
_threads_in_force: int | None = None
_ops_at_once = 1


def detect_precision() -> str:
    """Return "bfloat16" if this machine computes it in hardware, else "float32".

    This takes a CPU with AVX512_BF16 or AMX, or an NVIDIA device of capability 8 that TensorFlow
    can use. Does not load TensorFlow.
    """
    with contextlib.suppress(OSError):
        flags = CPU_INFO.read_text(encoding="utf-8").split()
        if "avx512_bf16" in flags or "amx_bf16" in flags:
            return "bfloat16"
    return "bfloat16" if _gpu_capability() >= 8 else "float32"


def _gpu_capability() -> float:
    """Return the smallest compute capability of the visible devices; 0.0 without any."""
    tool = shutil.which("nvidia-smi")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1")
    # The CUDA libraries of `tensorflow[and-cuda]`: without them TensorFlow computes on the CPU.
    if tool is None or hidden or importlib.util.find_spec("nvidia") is None:
        return 0.0
    command = [tool, "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return min((float(line) for line in answer.stdout.split()), default=0.0)
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0.0


def start_framework(options: FitOptions) -> None:
    """Import Keras on its backend, set threads and determinism; the first call takes seconds.

    Raises:
        ModelError: Keras already runs on another backend, or TensorFlow with other threads.
    """
    wanted = backend_name()
    if wanted != "tensorflow":
        for name, value in _variables(options).items():
            os.environ.setdefault(name, value)
    with quiet_import():
        import keras

        found = keras.backend.backend()
        if found != wanted:
            raise ModelError(f"Keras runs on the backend '{found}' here; '{wanted}' is needed")
        if wanted == "tensorflow":
            _set_up_tensorflow(options)
        elif wanted == "torch":
            _set_up_torch(options)


def _variables(options: FitOptions) -> dict[str, str]:
    """Return the environment variables that JAX and PyTorch read once, when they start."""
    flags = f"--xla_cpu_multi_thread_eigen={str(options.threads > 1).lower()}"
    if options.deterministic:
        flags += " --xla_gpu_deterministic_ops=true"
    found = {
        "XLA_FLAGS": flags,
        "OMP_NUM_THREADS": str(options.threads),
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    if GPU_MEMORY in os.environ:
        found["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{_memory_fraction():.3f}"
    return found


def _set_up_torch(options: FitOptions) -> None:
    import torch

    torch.set_num_threads(options.threads)
    if options.deterministic:  # as far as possible: some ops have no deterministic kernel
        torch.use_deterministic_algorithms(True, warn_only=True)
    if GPU_MEMORY in os.environ and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(_memory_fraction())


def _memory_fraction() -> float:
    limit_mb, total_mb = json.loads(os.environ[GPU_MEMORY])
    return float(limit_mb / total_mb)


def _set_up_tensorflow(options: FitOptions) -> None:
    global _threads_in_force
    import tensorflow as tf

    if _threads_in_force != options.threads:
        _set_threads(options.threads)
        _threads_in_force = options.threads
        # Each training collects garbage: without the freeze it would also walk the imports, 0.3 s.
        gc.freeze()
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    _bound_memory(tf.config)
    # A worker builds a graph for each trial, and TensorFlow would warn each time.
    tf.get_logger().setLevel("ERROR")
    tf.config.list_logical_devices()  # starts the devices, which also prints


def _set_threads(n_threads: int) -> None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(n_threads)
        # 1 in a worker: ops of a small network hardly overlap, and would compete for cores.
        tf.config.threading.set_inter_op_parallelism_threads(_ops_at_once)
    except RuntimeError as error:
        raise ModelError(
            f"TensorFlow already runs in this process, and not with --threads {n_threads}",
            "make tensors, layers and optimizers inside functions, not while a file is imported",
        ) from error


def _bound_memory(config: Any) -> None:
    """Limit this process to its share of the GPU, if it has one; `config` is `tf.config`."""
    limit = os.environ.get(GPU_MEMORY)
    if limit is None:
        return
    part = config.LogicalDeviceConfiguration(memory_limit=json.loads(limit)[0])
    for gpu in config.list_physical_devices("GPU"):
        if config.get_logical_device_configuration(gpu) != [part]:
            config.set_logical_device_configuration(gpu, [part])


def overlap_ops(n_cores: int) -> None:
    """Allow TensorFlow to compute up to `n_cores` independent ops at once in this process.

    A supervisor calls this before it starts the framework: it predicts with an average of members
    and shifts while its workers are idle. Results do not change, as each op keeps its threads.
    """
    global _ops_at_once
    _ops_at_once = n_cores


def is_undeterministic(error: Exception) -> bool:
    """Return whether an error says that a TensorFlow op has no deterministic kernel."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return "UnimplementedError" in kinds and "determinis" in str(error).lower()


def tensorflow_computes() -> bool:
    """Return whether TensorFlow has started in this process, after which its threads are fixed.

    Imports nothing. If TensorFlow ever moves this attribute, the answer is False, and
    `_set_threads` raises instead.
    """
    module = sys.modules.get("tensorflow.python.eager.context")
    return bool(getattr(getattr(module, "_context", None), "_initialized", False))


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Set the variables that TensorFlow and Keras read at import, and drop the lines they print.

    Used for this program's import, and for a user's file, which may import them first.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.update(KERNELS)
    # Importing Keras writes its settings: into this program's cache, not into the user's home.
    os.environ.setdefault("KERAS_HOME", str(cache_root() / "keras"))
    if _LATE_FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _LATE_FINDER)
    if "keras" not in sys.modules:
        use_backend(backend_name())  # otherwise Keras reads the settings in the user's home
    if "tensorflow" in sys.modules:
        yield
        return
    with _without_noise(), _without_collections():
        yield


class _LateFinder(MetaPathFinder):
    """Finds the modules of `_LATE` as modules that run when an attribute is first read."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname not in _LATE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


_LATE_FINDER = _LateFinder()


@contextlib.contextmanager
def without_pandas() -> Iterator[None]:
    """Hide pandas from imports in the block, unless it is loaded; saves 0.5 s and 30 MiB.

    Keras reads pandas' attributes at once, so lazy loading would not help. Afterwards Keras accepts
    no DataFrames in this process, so no user code may run in it.
    """
    if "pandas" in sys.modules:
        yield
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["pandas"]


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Pause garbage collection, which takes a fifth of TensorFlow's import, and freeze the rest."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _without_noise() -> Iterator[None]:
    """Hold back file descriptor 2, and pass on all lines except start-up messages of TensorFlow.

    TensorFlow writes those before it reads its log level. Lines of other threads and of a failing
    import must not be lost.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not _NOISE.match(line):
                    os.write(2, line)
