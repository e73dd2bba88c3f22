"""What was asked for is what is got, or the process does not start."""

from __future__ import annotations

import onnxruntime as ort
import pytest

from app.errors import ProviderUnavailable
from app.inference.provider import CPU_PROVIDER, CUDA_PROVIDER, obtain_provider

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
