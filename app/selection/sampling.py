"""Noise on scores that makes their top k a draw without replacement, by choice probability."""

from __future__ import annotations

from secrets import randbits
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from app.contract.tensors import FloatArray, UInt64Array

_GOLDEN_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_FACTOR: Final = np.uint64(0x94D049BB133111EB)
_MASK_64: Final = (1 << 64) - 1


def perturbed_scores(scores_C: FloatArray, *, temperature: float, seed: int | None, keys_C: UInt64Array) -> FloatArray:
    """Return ``float64[C]``, the scores over the temperature plus Gumbel noise.

    Their top k is a draw of k candidates one after the other, each with probability softmax(score / temperature) of
    those left (Vieira 2014, "Gumbel-max trick and weighted reservoir sampling"; Kool et al. 2019, arXiv 1903.06059).

    Args:
        scores_C: ``float[C]``, read as unnormalised log-probabilities.
        temperature: Above 0; 1 draws by the scores, towards 0 becomes the top-k list, larger is more even.
        seed: The same seed draws the same list; None draws a new one each time.
        keys_C: ``uint64[C]``, what names each candidate; see `gumbel_noise`.

    Raises:
        ValueError: If the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected a number above 0")
    drawn_seed = randbits(64) if seed is None else seed
    return scores_C.astype(np.float64) / temperature + gumbel_noise(drawn_seed, keys_C)


def gumbel_noise(seed: int, keys_C: UInt64Array) -> FloatArray:
    """Return ``float64[C]`` standard Gumbel noise, a pure function of the seed and each candidate's own key.

    There is no generator state, so a candidate's noise is the same in every process and batch, and whatever other
    candidates stand around it: a list that is drawn from the whole catalogue and one that is drawn from its best 500
    agree. The mixing is SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom number generators").

    Args:
        seed: Any integer; its low 64 bits count.
        keys_C: ``uint64[C]``, for example item rows or the keys of their ids. Equal keys get equal noise.
    """
    seed_key = _mixed(np.array([seed & _MASK_64], np.uint64))
    bits = _mixed(keys_C.astype(np.uint64, copy=False) ^ seed_key)
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53  # inside (0, 1): the logarithms stay finite
    return -np.log(-np.log(uniform))


def _mixed(values: UInt64Array) -> UInt64Array:
    """Return each 64-bit value scrambled, so that neighbouring inputs share nothing."""
    mixed = values + _GOLDEN_STEP
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST_FACTOR
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND_FACTOR
    return mixed ^ (mixed >> np.uint64(31))
