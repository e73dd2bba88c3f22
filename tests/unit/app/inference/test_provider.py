"""What was asked for is what is got, or the process does not start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import onnxruntime as ort
import pytest

from app.errors import ProviderUnavailable
from app.inference.provider import CPU_PROVIDER, CUDA_PROVIDER, obtain_provider

if TYPE_CHECKING:
    from pathlib import Path

HAS_CUDA = CUDA_PROVIDER in ort.get_available_providers()


def test_cpu_is_the_cpu() -> None:
    """Asking for the CPU gives it, with the reason."""
    provider = obtain_provider("cpu")
    assert (provider.name, provider.execution_provider, provider.reason) == ("cpu", CPU_PROVIDER, "cpu was asked for")


def test_cuda_is_cuda_or_an_error() -> None:
    """``cuda`` never becomes the CPU: where CUDA is missing, the sentence says what was found and what to do."""
    if HAS_CUDA:
        try:
            assert obtain_provider("cuda").name == "cuda"
        except ProviderUnavailable as error:
            assert "cannot be had" in str(error)  # noqa: PT017 -- CUDA build without a device
        return
    with pytest.raises(ProviderUnavailable, match=r"CUDA was asked for and cannot be had.*CPUExecutionProvider"):
        obtain_provider("cuda")


def test_auto_says_why_it_is_the_cpu() -> None:
    """``auto`` reports what stood in the way of CUDA, or that CUDA was got."""
    provider = obtain_provider("auto")
    assert provider.reason
    assert (provider.name == "cpu") == (provider.execution_provider == CPU_PROVIDER)


def test_another_word_is_refused() -> None:
    """A misspelt provider is no default."""
    with pytest.raises(ProviderUnavailable, match="the provider is 'gpu', expected auto, cpu or cuda"):
        obtain_provider("gpu")


class SessionOnCuda:
    """Stands for ONNX Runtime where there is a GPU: remembers what it was opened with."""

    opened: ClassVar[list[Any]] = []

    def __init__(self, *_: object, providers: list[Any], **__: object) -> None:
        self.opened.append(providers)

    def get_providers(self) -> list[str]:
        """Return what every session gets there."""
        return [CUDA_PROVIDER, CPU_PROVIDER]


@pytest.mark.parametrize(("limit", "expected"), [(None, {}), (2**30, {"gpu_mem_limit": 2**30})])
def test_sessions_on_cuda_get_a_bounded_arena_that_grows_as_asked(
    limit: int | None, expected: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial session and all later ones have the same options: device, memory, no TF32."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA_PROVIDER, CPU_PROVIDER])
    monkeypatch.setattr(ort, "preload_dlls", lambda: None)
    monkeypatch.setattr(ort, "InferenceSession", SessionOnCuda)
    provider = obtain_provider("auto", gpu_memory_limit_bytes=limit, device_id=1)
    options = provider.session_providers[0][1]
    wanted = {"device_id": 1, "arena_extend_strategy": "kSameAsRequested", "use_tf32": 0, **expected}
    assert (provider.name, {name: options.get(name) for name in wanted}) == ("cuda", wanted)
    assert ("gpu_mem_limit" in options) == (limit is not None)
    assert SessionOnCuda.opened[-1] == [(CUDA_PROVIDER, options)]


class SessionOnCpu(SessionOnCuda):
    """Stands for the CUDA build of ONNX Runtime where a library is missing: it falls back and only prints why."""

    def get_providers(self) -> list[str]:
        """Return what such a session gets."""
        return [CPU_PROVIDER]


class NoSession:
    """Stands for the CUDA build of ONNX Runtime where there is a driver and no device."""

    def __init__(self, *_: object, **__: object) -> None:
        raise RuntimeError(
            "/x/cuda_call.cc:154 T CudaCall(ERRTYPE, int) CUDA failure 100: no CUDA-capable device is detected ; GPU=-1"
        )


@pytest.fixture
def cuda_build(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let ONNX Runtime look like its CUDA build, which prints what it does not find."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA_PROVIDER, CPU_PROVIDER])
    monkeypatch.setattr(ort, "preload_dlls", lambda: print("Failed to load libcublas.so.13"))
    return monkeypatch


def test_the_library_that_is_missing_is_named(
    cuda_build: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reason says which one, and nothing is printed between the lines of the log."""
    cuda_build.setattr(ort, "InferenceSession", SessionOnCpu)
    cuda_build.setattr(ort, "__file__", str(tmp_path / "__init__.py"))
    provider = obtain_provider("auto")
    assert provider.name == "cpu"
    assert "got the CPU" in provider.reason
    assert "libonnxruntime_providers_shared.so: cannot open shared object file" in provider.reason
    assert capsys.readouterr().out == ""


def test_what_cuda_said_is_the_reason(cuda_build: pytest.MonkeyPatch) -> None:
    """Of a page of C++ the sentence is kept that a person can act on."""
    cuda_build.setattr(ort, "InferenceSession", NoSession)
    with pytest.raises(ProviderUnavailable, match=r"opened: CUDA failure 100: no CUDA-capable device is detected; "):
        obtain_provider("cuda")
