"""Masked-language training of a text encoder on a catalogue's own texts."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from tqdm import tqdm

from app.contract.item_text import plain_text
from model_export.modeling.encoder_loading import (
    EncoderError,
    first_line,
    load_tokenizer,
    quiet_transformers,
    resolve_encoder_folder,
    token_limit,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tokenizers import Encoding, Tokenizer

    from app.contract.tensors import BoolArray, Int64Array

_MASKED_SHARE: Final = 0.15
_REPLACED_BY_MASK, _REPLACED_BY_RANDOM = 0.8, 0.1
_IGNORED: Final = -100
_WARM_UP_SHARE: Final = 0.06
_MEASURED_TEXTS: Final = 512
_REPORT_FILE: Final = "pretraining.json"
_CHECKPOINT_FILE: Final = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class MaskedLanguageSettings:
    """How long and how to train; a run goes on only under the settings that it began with.

    Attributes:
        epochs: Passes over the texts.
        batch_size: Texts a step.
        learning_rate: Peak of AdamW's, after a linear warm-up; falls linearly to 0.
        max_tokens: Longer texts are cut.
        device: torch's name of it.
        seed: Of shuffling and masking.
    """

    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 5e-5
    max_tokens: int = 64
    device: str = "cpu"
    seed: int = 7


def pretrain(
    texts: Sequence[str],
    source: str | None,
    output: Path,
    settings: MaskedLanguageSettings,
    *,
    note: Callable[[str], None] = lambda _: None,
) -> list[float]:
    """Train and write an encoder folder; return the loss before and after every epoch.

    The loss is measured on up to 512 of the texts, always with the same masks. The model is saved after every epoch
    beside ``output``; the same call goes on from there, and returns at once where ``output`` is complete.

    Args:
        texts: Item texts; empty ones and repetitions are left out.
        source: Encoder folder or hub id, None for the packaged MiniLM.
        output: The folder to write.
        settings: See there.
        note: Told in a sentence how far the work is.

    Raises:
        EncoderError: If ``output`` was written with other settings, nothing can be masked, or loading fails.
    """
    report = output / _REPORT_FILE
    folder = resolve_encoder_folder(source)
    described = {"encoder": str(source or "MiniLM (packaged)"), **asdict(settings)}
    if output.exists():
        finished_run = json.loads(report.read_text("utf-8")) if report.is_file() else {}
        if finished_run.get("settings") != described:
            raise EncoderError(f"{output} exists and was not written with these settings; name another --output")
        return [float(loss) for loss in finished_run["losses"]]
    with quiet_transformers():
        training = _Training(sorted({text for text in texts if text.strip()}), folder, settings)
    unfinished = output.with_name(f"{output.name}.unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    training.resume(unfinished / _CHECKPOINT_FILE, described)
    training.train(unfinished / _CHECKPOINT_FILE, described, note)
    training.publish(unfinished, output, described)
    return training.losses


class _Training:
    """One model, its optimizer and how far it is."""

    def __init__(self, texts: Sequence[str], folder: Path, settings: MaskedLanguageSettings) -> None:
        from transformers import AutoModelForMaskedLM

        torch.manual_seed(settings.seed)
        self._settings, self._folder = settings, folder
        try:
            self._model: Any = AutoModelForMaskedLM.from_pretrained(
                str(folder), local_files_only=True, dtype=torch.float32
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise EncoderError(f"{folder} cannot be trained on masked words: {first_line(error)}") from error
        limit = min(settings.max_tokens, token_limit(self._model.config))
        self._tokenizer: Tokenizer = load_tokenizer(folder, max_tokens=limit)
        self._masker = WordMasker(self._tokenizer, folder)
        self._tokenizer.no_padding()
        self._encodings: list[Encoding] = self._tokenizer.encode_batch([plain_text(text) for text in texts])
        if not self._encodings:
            raise EncoderError("there is no item text to train on: every text is empty")
        self._model.to(settings.device)
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=settings.learning_rate, weight_decay=0.01)
        self._steps_per_epoch = -(-len(self._encodings) // settings.batch_size)
        self.losses: list[float] = []

    def resume(self, checkpoint: Path, described: dict[str, Any]) -> None:
        """Go on from the last saved epoch, if there is one of the same settings; measure the start if not."""
        if checkpoint.is_file():
            saved = torch.load(checkpoint, map_location=self._settings.device, weights_only=True)
            if saved["settings"] != described:
                raise EncoderError(f"{checkpoint.parent} was begun with other settings; remove it or use those")
            self._model.load_state_dict(saved["model"])
            self._optimizer.load_state_dict(saved["optimizer"])
            self.losses = list(saved["losses"])
        else:
            self.losses = [self._measure()]

    def train(self, checkpoint: Path, described: dict[str, Any], note: Callable[[str], None]) -> None:
        """Train the epochs that are left, saving after each."""
        done = len(self.losses) - 1
        note(f"{len(self._encodings)} texts, loss {self.losses[-1]:.4f} after {done} of {self._settings.epochs} epochs")
        for epoch in range(len(self.losses) - 1, self._settings.epochs):
            self._train_epoch(epoch)
            self.losses.append(self._measure())
            state = {"model": self._model.state_dict(), "optimizer": self._optimizer.state_dict()}
            unfinished = checkpoint.with_suffix(".writing")
            torch.save({"settings": described, "losses": self.losses, **state}, unfinished)
            unfinished.replace(checkpoint)
            note(f"epoch {epoch + 1} of {self._settings.epochs}: loss {self.losses[-1]:.4f}")

    def publish(self, unfinished: Path, output: Path, described: dict[str, Any]) -> None:
        """Write the encoder with its report, and give it its name when it is whole."""
        finished = unfinished / "encoder"
        self._write_encoder(finished)
        (finished / _REPORT_FILE).write_text(
            json.dumps({"settings": described, "losses": self.losses}, indent=2) + "\n"
        )
        finished.rename(output)
        shutil.rmtree(unfinished)

    def _write_encoder(self, folder: Path) -> None:
        """Write weights without the language head, configuration and tokenizer."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in self._folder.iterdir():
            if path.is_file() and path.suffix in {".json", ".txt", ".model"} and "index" not in path.name:
                shutil.copy(path, folder / path.name)
        with quiet_transformers():
            self._model.cpu().base_model.save_pretrained(folder)
        load_tokenizer(folder, max_tokens=self._settings.max_tokens).save(str(folder / "tokenizer.json"))

    def _train_epoch(self, epoch: int) -> None:
        random = np.random.default_rng((self._settings.seed, epoch))
        torch.manual_seed(self._settings.seed + epoch)
        self._model.train()
        batches = list(self._batches(random))
        for step, batch in enumerate(tqdm(batches, desc=f"masked words, epoch {epoch + 1}", unit="step", disable=None)):
            self._set_learning_rate(epoch * self._steps_per_epoch + step)
            self._optimizer.zero_grad()
            loss = self._loss(batch, random)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
            self._optimizer.step()

    @torch.inference_mode()
    def _measure(self) -> float:
        random = np.random.default_rng(self._settings.seed)
        self._model.eval()
        chosen = random.permutation(len(self._encodings))[:_MEASURED_TEXTS]
        size = self._settings.batch_size
        losses = [float(self._loss(chosen[start : start + size], random)) for start in range(0, len(chosen), size)]
        return float(np.mean(losses))

    def _loss(self, batch: Int64Array, random: np.random.Generator) -> Any:
        arrays = self._masker.mask([self._encodings[position] for position in batch], random)
        input_ids, attention_mask, labels = (torch.from_numpy(array).to(self._settings.device) for array in arrays)
        loss: Any = self._model(input_ids=input_ids, attention_mask=attention_mask, labels=labels).loss
        return loss

    def _batches(self, random: np.random.Generator) -> Iterator[Int64Array]:
        """Yield batches of texts of similar length, in random order."""
        lengths = (
            np.array([len(encoding.ids) for encoding in self._encodings]) + random.random(len(self._encodings)) * 4
        )
        order = np.argsort(lengths)
        size = self._settings.batch_size
        for number in random.permutation(self._steps_per_epoch):
            yield order[number * size : (number + 1) * size]

    def _set_learning_rate(self, step: int) -> None:
        total = self._steps_per_epoch * self._settings.epochs
        warm_up = max(int(total * _WARM_UP_SHARE), 1)
        share = min((step + 1) / warm_up, (total - step) / max(total - warm_up, 1))
        for group in self._optimizer.param_groups:
            group["lr"] = self._settings.learning_rate * min(share, 1.0)


class WordMasker:
    """Masks whole words: all tokens of a chosen word are predicted (Cui et al. 2019, on BERT's recipe).

    15% of a text's words, at least one, are chosen; 80% of them become the mask token, 10% random ones, 10% stay.
    """

    def __init__(self, tokenizer: Tokenizer, folder: Path) -> None:
        from transformers import AutoTokenizer

        loaded = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        if loaded.mask_token_id is None:
            raise EncoderError(
                f"the tokenizer of {folder} has no mask token, so its encoder cannot be trained on masks"
            )
        self._mask_id = int(loaded.mask_token_id)
        self._pad_id = int((tokenizer.padding or {})["pad_id"])
        self._vocabulary_size = tokenizer.get_vocab_size()

    def mask(
        self, encodings: Sequence[Encoding], random: np.random.Generator
    ) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Return ``(input_ids, attention_mask, labels)``, int64[N, T]; labels are -100 where nothing is predicted."""
        shape = (len(encodings), max(len(encoding.ids) for encoding in encodings))
        input_ids, labels = np.full(shape, self._pad_id, np.int64), np.full(shape, _IGNORED, np.int64)
        attention_mask = np.zeros(shape, np.int64)
        for row, encoding in enumerate(encodings):
            ids = np.array(encoding.ids, np.int64)
            chosen = self._chosen_tokens(encoding, random)
            labels[row, : len(ids)][chosen] = ids[chosen]
            fate = random.random(len(ids))
            ids[chosen & (fate < _REPLACED_BY_MASK)] = self._mask_id
            scrambled = chosen & (fate >= _REPLACED_BY_MASK) & (fate < _REPLACED_BY_MASK + _REPLACED_BY_RANDOM)
            ids[scrambled] = random.integers(0, self._vocabulary_size, int(scrambled.sum()))
            input_ids[row, : len(ids)], attention_mask[row, : len(ids)] = ids, 1
        return input_ids, attention_mask, labels

    @staticmethod
    def _chosen_tokens(encoding: Encoding, random: np.random.Generator) -> BoolArray:
        words = np.array([-1 if word is None else word for word in encoding.word_ids])
        present = np.unique(words[words >= 0])
        if not len(present):
            return np.zeros(len(words), bool)
        count = max(round(len(present) * _MASKED_SHARE), 1)
        return np.isin(words, random.choice(present, count, replace=False))
