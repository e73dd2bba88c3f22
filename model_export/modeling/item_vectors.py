"""The vectors of items: what their text says plus a bounded difference that only behaviour can teach."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.contract.tensors import PADDING_ROW


class ItemVectors(nn.Module):
    """``[N + 1, D]``: a unit vector from the text, plus a per-item delta shorter than ``delta_bound``.

    The last coordinate is popularity: the user state has a coordinate that multiplies it. An item that was never
    trained on has no delta; dropping the deltas of random items in training keeps such items in distribution. After
    "Let It Go? Not Quite" (arXiv 2507.19473).

    Args:
        text_vectors: float32[N + 1, W], whitened; row 0 is zeros.
        log_popularity: float32[N + 1], centred; 0 where unknown.
        known: bool[N + 1], which rows have training events, and so a delta.
        width: D.
        delta_bound: Longest delta, in lengths of the text part; 0 means text only.
    """

    def __init__(
        self, text_vectors: Tensor, log_popularity: Tensor, known: Tensor, *, width: int, delta_bound: float
    ) -> None:
        super().__init__()
        self.delta_bound = delta_bound
        self.text_vectors: Tensor
        self.known: Tensor
        self.register_buffer("text_vectors", text_vectors)
        known_N1 = known.to(torch.float32).unsqueeze(1)
        known_N1[PADDING_ROW] = 0.0
        self.register_buffer("known", known_N1)
        self.adaptor = nn.Linear(text_vectors.shape[1], width)
        with torch.no_grad():
            self.adaptor.weight[-1].zero_()
            self.adaptor.bias.zero_()
        self.delta = nn.Parameter(torch.randn(len(text_vectors), width - 1) * (width - 1) ** -0.5 * 0.1)
        self.popularity = nn.Parameter(log_popularity.clone().unsqueeze(1))

    @property
    def width(self) -> int:
        """D."""
        return self.adaptor.out_features

    def from_text(self, text_vectors_NW: Tensor) -> Tensor:
        """Return float32[N, D], the vectors of items of which only the text is known."""
        projected_ND = self.adaptor(text_vectors_NW)
        direction = functional.normalize(projected_ND[:, :-1], dim=-1, eps=1e-6)
        return torch.cat([direction, projected_ND[:, -1:]], dim=-1)

    def deltas(self, rows: Tensor | None = None) -> Tensor:
        """Return float32[N + 1, D], what behaviour adds to each text; zeros in row 0 and for unknown items.

        Args:
            rows: int64[n], return only these.
        """
        delta: Tensor = self.delta if rows is None else self.delta[rows]
        popularity: Tensor = self.popularity if rows is None else self.popularity[rows]
        known = self.known if rows is None else self.known[rows]
        if self.delta_bound == 0:
            return torch.zeros_like(popularity).expand(-1, self.width)
        if not math.isinf(self.delta_bound):
            squared = delta.square().sum(dim=-1, keepdim=True)
            delta = delta / torch.sqrt(1.0 + squared / self.delta_bound**2)
        return torch.cat([delta, popularity], dim=-1) * known

    @torch.no_grad()
    def boost_new_items(self, boost: float) -> None:
        """Raise the popularity coordinate of every item that has no delta; the vectors of all others stay.

        Once, after training. What is known of a new item is less, so a list of the likeliest items hardly ever has one:
        the boost buys new items their first events.

        Args:
            boost: In units of the score (log-probability) for a user who cares about popularity as most do.
        """
        if self.delta_bound > 0:
            self.adaptor.bias[-1] += boost
            self.popularity.sub_(boost * self.known)

    def forward(
        self, *, rows: Tensor | None = None, id_dropout: float = 0.0, fresh_text: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Return float32[N + 1, D], row 0 zeros.

        Args:
            rows: int64[n], return only these.
            id_dropout: Share of the items whose delta is left out of this table.
            fresh_text: ``(int64[m] positions in this table, float32[m, W])`` text vectors to use, with gradient.
        """
        text_NW = self.text_vectors if rows is None else self.text_vectors[rows]
        if fresh_text is not None:
            text_NW = text_NW.index_copy(0, *fresh_text)
        delta_ND = self.deltas(rows)
        if id_dropout > 0:
            delta_ND = delta_ND * (torch.rand_like(delta_ND[:, :1]) >= id_dropout)
        if rows is None:
            rows = torch.arange(len(text_NW), device=text_NW.device)
        is_item_N1 = (rows > PADDING_ROW).to(text_NW.dtype).unsqueeze(1)
        return self.from_text(text_NW) * is_item_N1 + delta_ND
