"""The item table in a device's own memory, where only rows that were written travel to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime as ort

from app.inference.onnx_session import session_options
from app.inference.provider import CUDA_PROVIDER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from app.contract.tensors import Int64Array
    from app.inference.provider import Provider

ROOM: Final = 16_384
"""Rows that can be added before the whole table has to travel again."""

_COPY_OF_BYTES: Final = bytes.fromhex(
    "080812003a370a100a017812017922084964656e746974791201625a0f0a0178120a0a08080212040a000a00"
    "620f0a0179120a0a08080212040a000a0042040a001011"
)
"""A serialised graph ``y = Identity(x)`` of uint8 with two axes."""


class ResidentTable:
    """``[rows + ROOM, D]`` on a device; rows that are not in use are zeros or what was there before.

    ONNX Runtime replaces a tensor as a whole. An output that is bound to an address can be a part of one, so rows are
    written by a graph that only copies. Rows that a run under way reads must not be among them.

    Args:
        item_table: ``[rows, D]`` in C order.
        provider: Whose device.
    """

    def __init__(self, item_table: NDArray[Any], provider: Provider) -> None:
        self._device = "cuda" if provider.execution_provider == CUDA_PROVIDER else "cpu"
        self._copier = ort.InferenceSession(
            _COPY_OF_BYTES, session_options(1), providers=list(provider.session_providers), enable_fallback=0
        )
        with_room = np.zeros((len(item_table) + ROOM, item_table.shape[1]), item_table.dtype)
        with_room[: len(item_table)] = item_table
        self.capacity = len(with_room)
        self.value = ort.OrtValue.ortvalue_from_numpy(with_room, self._device, 0)
        # a value on the CPU is the array itself
        self._kept = with_room if self._device == "cpu" else None

    def write(self, item_table: NDArray[Any], rows: Int64Array) -> None:
        """Copy some rows of a table to where they are on the device; returns when they are there.

        Args:
            item_table: ``[rows, D]`` of the same dtype and width, at most `capacity` rows.
            rows: ``int64[n]``, which of them.
        """
        if not len(rows):
            return
        ordered = np.sort(rows)
        for block in np.split(ordered, np.flatnonzero(np.diff(ordered) != 1) + 1):
            self._write_block(item_table[block[0] : block[-1] + 1], int(block[0]))

    def _write_block(self, vectors: NDArray[Any], first_row: int) -> None:
        content = vectors.view(np.uint8)
        binding = self._copier.io_binding()
        binding.bind_cpu_input("x", content)
        address = self.value.data_ptr() + first_row * content.shape[1]
        binding.bind_output("y", self._device, 0, np.uint8, content.shape, address)
        self._copier.run_with_iobinding(binding)
        binding.synchronize_outputs()
