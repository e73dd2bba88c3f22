"""Opens an ONNX Runtime session and checks what it takes and gives against what the caller expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import onnxruntime as ort

from app.errors import BundleError, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from app.inference.provider import Provider


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One expected input or output.

    Attributes:
        name: Tensor name.
        dtypes: Accepted ONNX Runtime types, for example ``("tensor(float)", "tensor(float16)")``.
        rank: Number of axes.
    """

    name: str
    dtypes: tuple[str, ...]
    rank: int


class _Tensor(Protocol):
    """What ONNX Runtime says of a tensor."""

    name: str
    type: str
    shape: list[Any]


def open_session(
    path: Path,
    provider: Provider,
    *,
    threads: int,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    optional_inputs: Sequence[TensorSpec] = (),
) -> ort.InferenceSession:
    """Open ``path`` on ``provider``.

    Args:
        path: The ``.onnx`` file.
        provider: From `app.inference.provider.obtain_provider`.
        threads: Threads of one run. 1 is best when requests run side by side.
        inputs: Every input that a caller feeds. The graph must have exactly these, beside ones with defaults.
        outputs: The outputs that are read.
        optional_inputs: Inputs that the graph may have, with a default (overridable initialisers).

    Raises:
        BundleError: If the file cannot be loaded, or a name, dtype or rank differs.
        ProviderUnavailable: If the session got another provider than ``provider``.
    """
    session = _loaded(path, provider, threads)
    if session.get_providers()[0] != provider.execution_provider:
        raise ProviderUnavailable(
            f"{path.name} got {session.get_providers()[0]}, expected {provider.execution_provider}"
        )
    try:
        _check_tensors(path.name, "input", session.get_inputs(), inputs, exact=True)
        _check_tensors(path.name, "output", session.get_outputs(), outputs, exact=False)
        defaults = {tensor.name: tensor for tensor in session.get_overridable_initializers()}
        present = [spec for spec in optional_inputs if spec.name in defaults]
        _check_tensors(path.name, "input", [defaults[spec.name] for spec in present], present, exact=False)
    except UnicodeDecodeError as error:
        raise BundleError(f"{path.name} names a tensor with bytes that are no text") from error
    return session


def _loaded(path: Path, provider: Provider, threads: int) -> ort.InferenceSession:
    try:
        # the binding's own fallback would go on with the CPU when a run fails, and print instead of raise
        return ort.InferenceSession(
            str(path), session_options(threads), providers=list(provider.session_providers), enable_fallback=0
        )
    except Exception as error:
        raise BundleError(
            f"{path.name} cannot be loaded by ONNX Runtime {ort.__version__}: {str(error)[:300]}"
        ) from error


def session_options(threads: int) -> ort.SessionOptions:
    """Return the options of a session that shares the machine with others."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # patterns are remembered per input shape, and requests have many shapes: memory would only grow
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def _check_tensors(
    file: str, kind: str, actual: Sequence[_Tensor], expected: Sequence[TensorSpec], *, exact: bool
) -> None:
    found = {tensor.name: tensor for tensor in actual}
    for spec in expected:
        if spec.name not in found:
            raise BundleError(f"{file} has the {kind}s {', '.join(found) or 'none'}, expected one called {spec.name}")
        tensor = found.pop(spec.name)
        if tensor.type not in spec.dtypes:
            raise BundleError(f"{file}: {kind} {spec.name} is {tensor.type}, expected {' or '.join(spec.dtypes)}")
        if len(tensor.shape) != spec.rank:
            raise BundleError(f"{file}: {kind} {spec.name} has {len(tensor.shape)} axes, expected {spec.rank}")
    if exact and found:
        raise BundleError(f"{file} needs the unknown {kind}s {', '.join(found)}")
