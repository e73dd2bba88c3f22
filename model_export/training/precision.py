"""In which precision the large products of a training step are made."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from model_export.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator


def product_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of products with the catalogue.

    ``auto`` is bfloat16 on CUDA and on processors with bfloat16 instructions (AMX: 2.4 times the speed of float32).

    Args:
        precision: ``auto``, ``bfloat16`` or ``float32``.
        device: Where the products are made.
    """
    if precision == "auto":
        fast = device.type == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


@contextmanager
def fast_products(dtype: torch.dtype) -> Iterator[None]:
    """Let float32 matrix products run in bfloat16 inside, where that is the dtype of the large ones anyway.

    Inputs, outputs and sums stay float32. The setting is torch's global one; it is put back afterwards.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if dtype == torch.bfloat16 else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def chosen_device(name: str) -> torch.device:
    """Return the device of a name; ``auto`` is CUDA where there is one.

    Raises:
        CommandError: If the device cannot be had; the processor is never a silent substitute.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise CommandError(f"the device is {name!r}, expected auto, cpu, cuda or cuda:N") from error
    if device.type not in {"cpu", "cuda"}:
        raise CommandError(f"the device is {name!r}, expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise CommandError(f"the device is {name!r}, but torch finds no CUDA here")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise CommandError(f"the device is {name!r}, but torch finds {torch.cuda.device_count()} CUDA devices here")
    return device
