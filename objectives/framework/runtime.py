"""The framework as this project runs it: imported late and quietly, with fixed threads.

Decides what can be set once a process only. What is set for each training is in `training.py`;
which framework it is, in `backend.py`.
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
from pathlib import Path
from typing import Any

from objectives.base import FitOptions
from objectives.errors import ModelError
from objectives.files.atomic import cache_root
from objectives.framework.backend import backend_name, on_tensorflow, use_backend
from objectives.framework.lateimport import import_late

CPU_INFO = Path("/proc/cpuinfo")

GPU_MEMORY = "STUDY_GPU_MEMORY"
"""In a worker's environment, as JSON: what it may take of its GPU, and what that has, in MiB."""

_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "GLOG_minloglevel": "3",
    # Several workers share a device: none may take all of its memory at the start.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}
# TensorFlow takes oneDNN's kernels by itself on the newest CPUs alone. With AVX2 they train about
# 1.6 times as many images a second. Not a default: other kernels give other bits.
KERNELS = {"TF_ENABLE_ONEDNN_OPTS": "1"} if platform.machine() in ("x86_64", "AMD64") else {}
# Lines of absl's log of severity I and W, and the one that announces them.
_NOISE = re.compile(
    rb"WARNING: All log messages before|[IW]\d{4} |\d{4}-\d\d-\d\d .{8,20}: [IW] |\s*$"
)
_threads_in_force: int | None = None
_ops_at_once = 1


def detect_precision() -> str:
    """Return "bfloat16" where this machine computes it in hardware, else "float32".

    That is a CPU with AVX512_BF16 or AMX, or an NVIDIA device of capability 8 that TensorFlow can
    use. Loads no TensorFlow.
    """
    with contextlib.suppress(OSError):
        flags = CPU_INFO.read_text(encoding="utf-8").split()
        if "avx512_bf16" in flags or "amx_bf16" in flags:
            return "bfloat16"
    return "bfloat16" if _gpu_capability() >= 8 else "float32"


def _gpu_capability() -> float:
    """Return the smallest compute capability of the visible devices; 0.0 where there is none."""
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
    """Import Keras on its backend and set what that allows to set; costs seconds the first time.

    Raises:
        ModelError: Keras already runs on another backend, or TensorFlow with other threads.
    """
    if on_tensorflow():
        start_tensorflow(options)
        return
    for name, value in _variables(options).items():
        os.environ.setdefault(name, value)
    with quiet_import():
        import keras

        _refuse_other_backend(keras.backend.backend())
        if backend_name() == "torch":
            import torch

            torch.set_num_threads(options.threads)
            if options.deterministic:  # as far as it goes: some ops have no such kernel
                torch.use_deterministic_algorithms(True, warn_only=True)
            if GPU_MEMORY in os.environ and torch.cuda.is_available():
                torch.cuda.set_per_process_memory_fraction(_memory_fraction())


def _variables(options: FitOptions) -> dict[str, str]:
    """Return what JAX and PyTorch read from the environment once, when they start."""
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


def _memory_fraction() -> float:
    limit_mb, whole_mb = json.loads(os.environ[GPU_MEMORY])
    return float(limit_mb / whole_mb)


def is_undeterministic(error: Exception) -> bool:
    """Whether it says that an op of TensorFlow's has no deterministic kernel."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return "UnimplementedError" in kinds and "determinis" in str(error).lower()


def _refuse_other_backend(found: str) -> None:
    wanted = backend_name()
    if found != wanted:
        raise ModelError(f"Keras runs on the backend '{found}' here; '{wanted}' is needed")


def start_tensorflow(options: FitOptions) -> None:
    """Import Keras on TensorFlow and set threads and determinism; costs seconds the first time.

    Raises:
        ModelError: Keras already runs on another backend, or TensorFlow with other threads.
    """
    global _threads_in_force
    with quiet_import():
        import keras
        import tensorflow as tf

        _refuse_other_backend(keras.backend.backend())
        if _threads_in_force != options.threads:
            _set_threads(options.threads)
            _threads_in_force = options.threads
            # Each training collects garbage, and what imports made is none: 0.3 s a time.
            gc.freeze()
        if options.deterministic:
            tf.config.experimental.enable_op_determinism()
        _bound_memory(tf.config)
        # A worker builds a graph per trial, of which TensorFlow's Python side would warn for ever.
        tf.get_logger().setLevel("ERROR")
        tf.config.list_logical_devices()  # starts the devices, which prints too


def tensorflow_computes() -> bool:
    """Whether TensorFlow has begun to compute in this process: no threads can be set after that.

    Imports nothing. Where TensorFlow keeps this elsewhere, the answer is no, and `_set_threads`
    finds out.
    """
    module = sys.modules.get("tensorflow.python.eager.context")
    return bool(getattr(getattr(module, "_context", None), "_initialized", False))


def _bound_memory(config: Any) -> None:
    """Keep this process to its part of the GPU, where it has one; `config` is `tf.config`."""
    limit = os.environ.get(GPU_MEMORY)
    if limit is None:
        return
    part = config.LogicalDeviceConfiguration(memory_limit=json.loads(limit)[0])
    for gpu in config.list_physical_devices("GPU"):
        if config.get_logical_device_configuration(gpu) != [part]:
            config.set_logical_device_configuration(gpu, [part])


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Set what TensorFlow and Keras read once when they are imported, and drop their greetings.

    Around our own import of them and around a user's file, which may import them first.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.update(KERNELS)
    # Importing Keras writes its settings: into our cache and not into the user's home.
    os.environ.setdefault("KERAS_HOME", str(cache_root() / "keras"))
    import_late()
    if "keras" not in sys.modules:
        use_backend(backend_name())  # else Keras asks its settings in the user's home
    if "tensorflow" in sys.modules:
        yield
        return
    with _without_noise(), _without_collections():
        yield


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Collect no garbage meanwhile, nor ever in what is made here: imports make next to none.

    While TensorFlow is imported, collecting takes a fifth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def overlap_ops(n_cores: int) -> None:
    """Let so many ops compute at once in this process, where none needs what another gives.

    For a process that looks after workers, before it starts the framework: when it predicts with
    an average, they have nothing to do, and members and shifts do not need each other. No bit
    changes by it, as each op computes with the threads of a trial still. Only TensorFlow heeds it.
    """
    global _ops_at_once
    _ops_at_once = n_cores


def _set_threads(n_threads: int) -> None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(n_threads)
        # One in a worker: ops of one small network hardly overlap, and would fight for the cores.
        tf.config.threading.set_inter_op_parallelism_threads(_ops_at_once)
    except RuntimeError as error:
        raise ModelError(
            f"TensorFlow already runs in this process, and not with --threads {n_threads}",
            "make tensors, layers and optimizers inside functions, not while a file is imported",
        ) from error


@contextlib.contextmanager
def _without_noise() -> Iterator[None]:
    """Hold file descriptor 2 back and pass on what is no greeting of TensorFlow's C++.

    It writes them before it reads its log level. What another thread writes meanwhile, or an
    import that fails, must not be lost.
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
