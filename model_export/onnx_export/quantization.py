"""Decides by measurement whether the ranker's products run in INT8; the encoder has its own recipe."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import onnxruntime as ort

from app.inference.onnx_session import session_options

if TYPE_CHECKING:
    from collections.abc import Sequence

RUNS: Final = 300
NEEDED_SPEEDUP: Final = 1.25
"""So much faster has INT8 to be: on ml-100k the ranker loses 2.4% of the first ten for 10 to 16% of the time."""


@dataclass(frozen=True, slots=True)
class Int8Trial:
    """What quantising the ranker's matrix products would bring.

    Attributes:
        fp32_us: Median microseconds of a run in FP32, one thread, a full history and 100 candidates.
        int8_us: The same with dynamic per-channel INT8 products.
        kept: Whether INT8 is used.
    """

    fp32_us: float
    int8_us: float
    kept: bool


def faster_ranker(model: onnx.ModelProto, feeds: dict[str, Any]) -> tuple[onnx.ModelProto, Int8Trial]:
    """Return the faster of the FP32 graph and its dynamically quantised form, with both times.

    The two run in turns, so that whatever else the machine does meets both.

    Args:
        model: The FP32 ranker.
        feeds: A typical request.
    """
    quantised = _quantised(model)
    sessions = [
        ort.InferenceSession(form.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"])
        for form in (model, quantised)
    ]
    fp32_us, int8_us = _medians_us(sessions, feeds)
    kept = fp32_us >= NEEDED_SPEEDUP * int8_us
    return (quantised if kept else model), Int8Trial(fp32_us, int8_us, kept)


def _quantised(model: onnx.ModelProto) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        prepared = onnx.ModelProto()
        prepared.CopyFrom(model)
        # says that shape inference and folding were done: there is nothing left to fold, and the advice is noise
        onnx.helper.set_model_props(prepared, {"onnx.quant.pre_process": "onnxruntime.quant"})
        onnx.save(prepared, source)
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        return onnx.load(target)


def _medians_us(sessions: Sequence[ort.InferenceSession], feeds: dict[str, Any]) -> tuple[float, ...]:
    times: list[list[float]] = [[] for _ in sessions]
    for _ in range(RUNS):
        for session, taken in zip(sessions, times, strict=True):
            started = time.perf_counter()
            session.run(None, feeds)
            taken.append(time.perf_counter() - started)
    return tuple(float(np.median(taken)) * 1e6 for taken in times)
