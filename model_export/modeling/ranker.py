"""The ranker: item vectors, a causal sequence encoder, and a score for each candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_export.modeling.buckets import TIME_BUCKETS, time_bucket
from model_export.modeling.fast_dropout import FastDropout
from model_export.modeling.interest_fusion import InterestGate, LongTermReader
from model_export.modeling.read_out import ReadOut, UserState
from model_export.modeling.sequence_encoder import build_sequence_encoder

if TYPE_CHECKING:
    from model_export.modeling.item_vectors import ItemVectors
    from model_export.modeling.sequence_encoder import EncoderShape

NEVER_AGAIN: Final = -12.0
"""Logit of an item that the user already has, where the training data has (almost) no repeats."""


@dataclass(frozen=True, slots=True)
class RankerShape:
    """Everything about a ranker that is not learned.

    Attributes:
        encoder: One of `model_export.modeling.sequence_encoder.ENCODERS`.
        encoder_shape: Size of the sequence encoder.
        history_length: H, how many events it reads at most.
        actions: How many kinds of events there are.
        objectives: O, how many outcomes of an event are told apart; 1 means none.
        interests: K, vectors for each user.
        repeats: Whether users come back to items; if not, an item of the history gets `NEVER_AGAIN`.
    """

    encoder: str
    encoder_shape: EncoderShape
    history_length: int
    actions: int
    objectives: int
    interests: int
    repeats: bool


class SequenceRanker(nn.Module):
    """Scores items for a user who has just done something; a score approximates log P(next item | history).

    A sequence is the learned start token followed by the events, oldest first, padded on the right: the state of an
    empty history is that of the start token. Each event's input is its item's vector, its action and, where timestamps
    are real, the gap to whatever came next: for the newest event, to now. So every position of a training sequence
    sees what a request at that moment would have seen, and one pass trains on all of them.

    Args:
        shape: See `RankerShape`.
        items: The item vectors.
        text_tower: Token ids to whitened text vectors, needed by `encode_texts` alone.
    """

    def __init__(self, shape: RankerShape, items: ItemVectors, text_tower: nn.Module | None = None) -> None:
        super().__init__()
        size = shape.encoder_shape
        self.shape = shape
        self.items = items
        self.text_tower = text_tower
        self.start = nn.Parameter(torch.randn(size.width) * 0.02)
        self.item_input = nn.Linear(items.width, size.width)
        self.action_input = nn.Parameter(torch.zeros(shape.actions, size.width))
        self.gap_input = nn.Parameter(torch.zeros(TIME_BUCKETS, size.width)) if size.use_time else None
        self.input_norm = nn.LayerNorm(size.width)
        self.input_dropout = FastDropout(size.dropout)
        self.encoder = build_sequence_encoder(shape.encoder, size)
        self.long_term = LongTermReader(items.width, size.width, size.heads)
        self.gate = InterestGate(size.width)
        self.state_dropout = FastDropout(size.dropout)
        self.read_out = ReadOut(size.width, items.width, interests=shape.interests, objectives=shape.objectives)
        again = 0.0 if shape.repeats else NEVER_AGAIN
        self.repeat_logit = nn.Parameter(torch.tensor(again), requires_grad=shape.repeats)

    def item_table(self) -> Tensor:
        """Return float32[N + 1, D]; row 0 is zeros."""
        table: Tensor = self.items()
        return table

    def item_deltas(self) -> Tensor:
        """Return float32[N + 1, D], what behaviour adds to each text; zeros for items never trained on."""
        return self.items.deltas()

    def encode_texts(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return float32[N, D], the vectors of items of which only the text is known.

        Args:
            input_ids: int64[N, T].
            attention_mask: int64[N, T].

        Raises:
            RuntimeError: If the ranker was made without a text tower.
        """
        if self.text_tower is None:
            raise RuntimeError("this ranker has no text tower, so it cannot read texts")
        return self.items.from_text(self.text_tower(input_ids, attention_mask))

    def score(  # noqa: PLR0917 -- the tensors of the graph, in the contract's order
        self,
        item_table: Tensor,
        history_rows: Tensor,
        history_actions: Tensor,
        history_age_s: Tensor,
        candidate_rows: Tensor,
        objective_weights: Tensor,
    ) -> Tensor:
        """Return float32[B, C], the scores of the candidates; the serving forward.

        With all weights 1 a score is log P(item is next); with others, log of the expected weight of what happens next,
        sum over outcomes o of ``weight[o] * P(item is next and ends in o)``.

        Args:
            item_table: float32[N + 1, D].
            history_rows: int64[B, H], oldest first, 0 after the last event.
            history_actions: int64[B, H].
            history_age_s: float32[B, H], seconds before now.
            candidate_rows: int64[B, C].
            objective_weights: float32[1 or B, O], at least 0.
        """
        user = self.user_state(item_table, history_rows, history_actions, history_age_s)
        candidates_BCD = functional.embedding(candidate_rows, item_table)
        scores_BC = mixed_logits(user, candidates_BCD) - user.log_normaliser.unsqueeze(-1)
        seen_BC = (candidate_rows.unsqueeze(-1) == history_rows.unsqueeze(1)).any(dim=-1)
        scores_BC = scores_BC + self.repeat_logit * seen_BC.to(scores_BC.dtype)
        if self.shape.objectives > 1:
            outcomes_BCO = torch.matmul(candidates_BCD, user.outcomes.transpose(1, 2))
            chances_BCO = torch.softmax(outcomes_BCO, dim=-1) * objective_weights.unsqueeze(1)
            scores_BC = scores_BC + torch.log(chances_BCO.sum(dim=-1).clamp(min=1e-6))
        return scores_BC

    def score_catalog(
        self, item_table: Tensor, history_rows: Tensor, history_actions: Tensor, history_age_s: Tensor
    ) -> Tensor:
        """Return float32[B, N + 1], the score of every row with all objective weights 1; row 0 means nothing."""
        user = self.user_state(item_table, history_rows, history_actions, history_age_s)
        scores_BN = mixed_logits(user, item_table) - user.log_normaliser.unsqueeze(-1)
        seen_BN = torch.zeros_like(scores_BN).scatter(1, history_rows, 1.0)
        return scores_BN + self.repeat_logit * seen_BN

    def user_state(self, item_table: Tensor, rows_BH: Tensor, actions_BH: Tensor, age_s_BH: Tensor) -> UserState:
        """Return the state of each user now, dimensions [B, ...]."""
        user: UserState = self.read_out(self._fused_now(item_table, rows_BH, actions_BH, age_s_BH)[0])
        return user

    def user_states(self, item_table: Tensor, rows_BH: Tensor, actions_BH: Tensor, age_s_BH: Tensor) -> UserState:
        """Return the states after the start token and after each event, dimensions [B, H + 1, ...]; for training."""
        vectors_BLD, inputs_BLE, age_BL = self._inputs(item_table, rows_BH, actions_BH, age_s_BH)
        short_BLE = self.encoder(inputs_BLE, age_BL)
        long_BLE = self.long_term(inputs_BLE, vectors_BLD, age_BL)
        user: UserState = self.read_out(self.state_dropout(self.gate(short_BLE, long_BLE)[0]))
        return user

    def short_term_share(self, item_table: Tensor, rows_BH: Tensor, actions_BH: Tensor, age_s_BH: Tensor) -> Tensor:
        """Return float32[B], how much of each user's fused state is short-term, 0..1."""
        return self._fused_now(item_table, rows_BH, actions_BH, age_s_BH)[1].squeeze(-1)

    def _fused_now(
        self, item_table: Tensor, rows_BH: Tensor, actions_BH: Tensor, age_s_BH: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the fused state[B, E] after each user's last event, and how much of it is short-term, [B, 1]."""
        vectors_BLD, inputs_BLE, age_BL = self._inputs(item_table, rows_BH, actions_BH, age_s_BH)
        last_B = (rows_BH > 0).to(torch.int64).sum(dim=1)
        short_BE = self.encoder.last_state(inputs_BLE, age_BL, last_B)
        long_BE = self.long_term.last_state(inputs_BLE, vectors_BLD, age_BL, last_B)
        fused: tuple[Tensor, Tensor] = self.gate(short_BE, long_BE)
        return fused

    def _inputs(
        self, item_table: Tensor, rows_BH: Tensor, actions_BH: Tensor, age_s_BH: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return vectors[B, L, D], inputs[B, L, E] and ages[B, L] of the start token and the events."""
        events_BHD = functional.embedding(rows_BH, item_table)
        inputs_BHE = self.item_input(events_BHD) + functional.embedding(actions_BH, self.action_input)
        if self.gap_input is not None:
            next_age_BH = torch.cat([age_s_BH[:, 1:], torch.zeros_like(age_s_BH[:, :1])], dim=1)
            inputs_BHE = inputs_BHE + functional.embedding(time_bucket(age_s_BH - next_age_BH), self.gap_input)
        start_B1E = self.start.expand(rows_BH.shape[0], 1, -1)
        inputs_BLE = self.input_dropout(self.input_norm(torch.cat([start_B1E, inputs_BHE], dim=1)))
        vectors_BLD = torch.cat([torch.zeros_like(events_BHD[:, :1]), events_BHD], dim=1)
        return vectors_BLD, inputs_BLE, torch.cat([age_s_BH[:, :1], age_s_BH], dim=1)


def mixed_logits(user: UserState, items: Tensor) -> Tensor:
    """Return float32[B, C], the logit of each item, mixed over the interests.

    Args:
        user: Of dimensions [B, ...].
        items: float32[B, C, D], or float32[N + 1, D] for the same items for everyone.
    """
    logits_BKC = torch.matmul(user.interests, items.transpose(-1, -2))
    if user.log_shares.shape[-1] == 1:
        return logits_BKC.squeeze(1)
    return torch.logsumexp(logits_BKC + user.log_shares.unsqueeze(-1), dim=1)
