"""Obtains the ONNX Runtime execution provider that ``SEQRANK_PROVIDER`` asks for."""

from __future__ import annotations

import ctypes
import io
import re
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import onnxruntime as ort

from app.errors import ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

CPU_PROVIDER: Final = "CPUExecutionProvider"
CUDA_PROVIDER: Final = "CUDAExecutionProvider"

_ONE_NODE_MODEL: Final = bytes.fromhex(
    "080812003a370a100a017812017922084964656e746974791201705a0f0a0178120a0a08080112040a02080162"
    "0f0a0179120a0a08080112040a02080142040a001011"
)
"""A serialised graph ``y = Identity(x)``: opening it shows which provider a session really gets."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What was got.

    Attributes:
        name: ``cpu`` or ``cuda``: what every session of this process runs on.
        reason: Why it is this one, a sentence for the log and ``/info``.
        session_providers: What `onnxruntime.InferenceSession` takes as ``providers``.
    """

    name: Literal["cpu", "cuda"]
    reason: str
    session_providers: tuple[tuple[str, dict[str, Any]], ...]

    @property
    def execution_provider(self) -> str:
        """ONNX Runtime's own name of the provider."""
        return self.session_providers[0][0]


def obtain_provider(requested: str, *, gpu_memory_limit_bytes: int | None = None, device_id: int = 0) -> Provider:
    """Find out by opening a session which provider can be had; never fall back in silence.

    Args:
        requested: ``cpu``, ``cuda`` (CUDA or an error) or ``auto`` (CUDA where it works, else CPU with the reason).
        gpu_memory_limit_bytes: Upper limit of the CUDA arena of each session; None means all of the device.
        device_id: CUDA device number.

    Raises:
        ProviderUnavailable: If ``cuda`` is asked for and not obtained, or ``requested`` is another word.
    """
    if requested not in ("auto", "cpu", "cuda"):
        raise ProviderUnavailable(f"the provider is {requested!r}, expected auto, cpu or cuda")
    if requested == "cpu":
        return _cpu("cpu was asked for")
    options = _cuda_options(gpu_memory_limit_bytes, device_id)
    obstacle = _cuda_obstacle(options)
    if obstacle is None:
        return Provider(
            name="cuda",
            reason=f"CUDA device {device_id} opened a session",
            session_providers=((CUDA_PROVIDER, options), (CPU_PROVIDER, {})),
        )
    if requested == "cuda":
        raise _no_cuda(obstacle)
    return _cpu(obstacle)


def require_cuda_build() -> None:
    """Check that this ONNX Runtime is built with CUDA, without opening anything on a device.

    Raises:
        ProviderUnavailable: If it is not.
    """
    obstacle = _build_obstacle()
    if obstacle is not None:
        raise _no_cuda(obstacle)


def _no_cuda(obstacle: str) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"CUDA was asked for and cannot be had: {obstacle}; install seqrank[cuda] or ask for auto or cpu"
    )


def _cpu(reason: str) -> Provider:
    return Provider("cpu", reason, ((CPU_PROVIDER, {}),))


def _cuda_options(gpu_memory_limit_bytes: int | None, device_id: int) -> dict[str, Any]:
    options: dict[str, Any] = {
        "device_id": device_id,
        # the default doubles the arena at every growth
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        # TF32 keeps 10 bits of the mantissa: FP32 would miss its own certificate
        "use_tf32": 0,
    }
    if gpu_memory_limit_bytes is not None:
        options["gpu_mem_limit"] = gpu_memory_limit_bytes
    return options


def _build_obstacle() -> str | None:
    available = ort.get_available_providers()
    if CUDA_PROVIDER in available:
        return None
    return f"this ONNX Runtime {ort.__version__} has no CUDA, only {', '.join(available)}"


def _cuda_obstacle(options: dict[str, Any]) -> str | None:
    """Return why a session does not get CUDA, or None when it does."""
    obstacle = _build_obstacle()
    if obstacle is not None:
        return obstacle
    session_options = ort.SessionOptions()
    session_options.log_severity_level = 4
    try:
        with _quiet():
            # finds the CUDA and cuDNN libraries of the pip wheels; a no-op when they are on the library path
            ort.preload_dlls()
            session = ort.InferenceSession(
                _ONE_NODE_MODEL, session_options, providers=[(CUDA_PROVIDER, options)], enable_fallback=0
            )
    except Exception as error:  # noqa: BLE001 -- ONNX Runtime's exceptions share no base class
        cause = re.search(r"CUDA failure \d+: [^;]*[^; ]", str(error))
        return f"a session on CUDA cannot be opened: {cause.group() if cause else str(error)[:300]}"
    if session.get_providers()[0] != CUDA_PROVIDER:
        return f"a session that asked for CUDA got the CPU: {_missing_library()}"
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep ONNX Runtime from printing what the sentence of an obstacle says in one line of the log."""
    ort.set_default_logger_severity(4)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        # errors alone: ONNX Runtime 1.31 warns at every session on CUDA that CUDA is no plugin
        ort.set_default_logger_severity(3)


def _missing_library() -> str:
    """Return what keeps the library of the provider from being loaded, which ONNX Runtime only prints."""
    folder = Path(ort.__file__).parent / "capi"
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / "libonnxruntime_providers_cuda.so"))
    except OSError as error:
        return f"{error} (libcuda is the NVIDIA driver's)" if "libcuda.so" in str(error) else str(error)
    return "its library can be loaded, so look for the driver or the device"
