"""One training from fresh weights: epochs over batches, in a state that can be saved after any batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from model_export.training.averaging import WeightAverage
from model_export.training.training_rows import length_bucketed_batches, training_batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from app.contract.tensors import Int64Array
    from model_export.data.dataset import Dataset
    from model_export.modeling.ranker import SequenceRanker
    from model_export.run_config import RunConfig
    from model_export.training.distribution import Distribution
    from model_export.training.newcomers import Newcomers
    from model_export.training.step import BatchLoss
    from model_export.training.training_rows import EventLabels, TrainingRows


class Fit:
    """Trains a model; what it has learned so far is its `state`, from which another process goes on exactly.

    Everything random comes from the seed and the epoch's number, or from torch's generator, which is part of the state.

    Args:
        model: Fresh, on the device that it is trained on.
        data: The events that ``rows`` points into.
        rows: What is trained on.
        labels: Of the events.
        newcomers: What the start token learns from.
        batch_loss: What is minimised.
        config: Resolved.
        distribution: Which share of each epoch is ours.
    """

    def __init__(
        self,
        *,
        model: SequenceRanker,
        data: Dataset,
        rows: TrainingRows,
        labels: EventLabels,
        newcomers: Newcomers,
        batch_loss: BatchLoss,
        config: RunConfig,
        distribution: Distribution,
    ) -> None:
        self.model = model
        self.average = WeightAverage(model, config.training.averaging)
        self.epoch = 0
        """Epochs completed."""
        self.step_of_epoch = 0
        self._data, self._rows, self._labels = data, rows, labels
        self._newcomers = newcomers
        self._batch_loss = batch_loss
        self._config = config
        self._distribution = distribution
        self._parameters = [value for value in model.parameters() if value.requires_grad]
        self._optimizer = torch.optim.AdamW(_parameter_groups(model, config), betas=(0.9, 0.98))
        self._base_rates = [float(group["lr"]) for group in self._optimizer.param_groups]
        self._steps = 0
        self._loss_sum, self._loss_count = 0.0, 0

    def train_epoch(self, after_step: Callable[[int, int, float], None]) -> float:
        """Go on to the end of the current epoch and return its mean loss.

        Args:
            after_step: Told how many steps of how many are done, and the epoch's mean loss so far.
        """
        device = self._parameters[0].device
        batches = self._batches_of_epoch()
        own = self._distribution.own_share(len(batches))
        self.model.train()
        for number in own[self.step_of_epoch :]:
            random = np.random.default_rng([self._config.seed, self.epoch, number])
            start_events_B = self._newcomers.draw(len(batches[number]), random)
            batch = training_batch(self._data, self._rows, batches[number], self._labels, start_events_B)
            self._learn(batch.to(device))
            self.step_of_epoch += 1
            after_step(self.step_of_epoch, len(own), self._loss_sum / self._loss_count)
        mean_loss = self._loss_sum / self._loss_count
        self.epoch += 1
        self.step_of_epoch = 0
        self._loss_sum, self._loss_count = 0.0, 0
        return mean_loss

    def _batches_of_epoch(self) -> list[Int64Array]:
        random = np.random.default_rng([self._config.seed, self.epoch])
        positions = self._config.training.positions_per_batch or 0
        return list(length_bucketed_batches(self._rows.lengths, positions_per_batch=positions, random=random))

    def _learn(self, batch: Any) -> None:
        training = self._config.training
        self._steps += 1
        rate = min(1.0, self._steps / max(training.warm_up_steps, 1))
        for group, base_rate in zip(self._optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = base_rate * rate
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._batch_loss(self.model, batch)
        torch.autograd.backward(loss.total)
        self._distribution.average_gradients(self._parameters, loss.predictions)
        nn.utils.clip_grad_norm_(self._parameters, training.clip_norm)
        self._optimizer.step()
        self.average.update()
        self._loss_sum += loss.ranking * loss.predictions
        self._loss_count += loss.predictions

    def state(self) -> dict[str, Any]:
        """Return everything that going on needs; tensors are shared, so write it before the next step."""
        return {
            "parameters": {
                name: value.detach() for name, value in self.model.named_parameters() if value.requires_grad
            },
            "average": self.average.state(),
            "optimizer": self._optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "counters": [self.epoch, self.step_of_epoch, self._steps, self._loss_count],
            "loss_sum": self._loss_sum,
        }

    @torch.no_grad()
    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned, in this process or another."""
        for name, value in self.model.named_parameters():
            if value.requires_grad:
                value.copy_(state["parameters"][name])
        self.average.load_state(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        self.epoch, self.step_of_epoch, self._steps, self._loss_count = state["counters"]
        self._loss_sum = state["loss_sum"]


def _parameter_groups(model: SequenceRanker, config: RunConfig) -> list[dict[str, Any]]:
    """Divide the trained parameters: matrices decay, vectors do not, deltas and text encoder have own rules."""
    training = config.training
    groups: dict[str, list[Tensor]] = {"matrices": [], "vectors": [], "deltas": [], "text": []}
    for name, value in model.named_parameters():
        if not value.requires_grad:
            continue
        if name.startswith("text_tower."):
            groups["text"].append(value)
        elif name == "items.delta":
            groups["deltas"].append(value)
        else:
            groups["matrices" if value.ndim > 1 and name != "items.popularity" else "vectors"].append(value)
    rules = {
        "matrices": {"lr": training.learning_rate, "weight_decay": training.weight_decay},
        "vectors": {"lr": training.learning_rate, "weight_decay": 0.0},
        "deltas": {"lr": training.learning_rate, "weight_decay": training.delta_weight_decay},
        "text": {"lr": config.text.learning_rate, "weight_decay": training.weight_decay},
    }
    return [{"params": members, **rules[kind]} for kind, members in groups.items() if members]
