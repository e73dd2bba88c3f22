"""Draws without replacement."""

import numpy as np
import pytest

from app.selection.sampling import gumbel_noise, perturbed_scores
from app.selection.top_k import top_k_positions

KEYS = np.arange(1, 6, dtype=np.uint64)
SCORES = np.log(np.array([0.5, 0.2, 0.15, 0.1, 0.05]))


def _draw(seed: int | None, k: int = 5, temperature: float = 1.0) -> list[int]:
    return top_k_positions(perturbed_scores(SCORES, temperature=temperature, seed=seed, keys_C=KEYS), k).tolist()


def test_first_places_follow_the_probabilities() -> None:
    """Over many seeds each candidate is first as often as its softmax probability says."""
    firsts = np.bincount([_draw(seed, 1)[0] for seed in range(20_000)], minlength=5) / 20_000
    np.testing.assert_allclose(firsts, np.exp(SCORES), atol=0.012)


def test_second_places_follow_the_probabilities_of_those_left() -> None:
    """Given the first, the second place is drawn from the rest in proportion (Plackett and Luce)."""
    seconds = [draw[1] for seed in range(30_000) if (draw := _draw(seed, 2))[0] == 0]
    shares = np.bincount(seconds, minlength=5) / len(seconds)
    np.testing.assert_allclose(shares, [0, 0.4, 0.3, 0.2, 0.1], atol=0.016)


def test_temperature_flattens() -> None:
    """At a temperature of 2 the first places follow the square roots of the probabilities."""
    firsts = np.bincount([_draw(seed, 1, 2.0)[0] for seed in range(20_000)], minlength=5) / 20_000
    roots = np.exp(SCORES / 2)
    np.testing.assert_allclose(firsts, roots / roots.sum(), atol=0.012)


def test_low_temperature_is_the_top_k_list() -> None:
    """Near a temperature of 0 the draw is the order of the scores."""
    assert all(_draw(seed, 5, 1e-4) == [0, 1, 2, 3, 4] for seed in range(50))


def test_same_seed_same_list() -> None:
    """A seed gives the same list again."""
    assert _draw(7) == _draw(7)


def test_no_seed_gives_new_lists() -> None:
    """Without a seed the lists differ between calls."""
    assert len({tuple(_draw(None)) for _ in range(40)}) > 1


def test_noise_belongs_to_the_candidate() -> None:
    """A candidate's noise does not depend on its position or on the other candidates."""
    all_noise = gumbel_noise(3, KEYS)
    np.testing.assert_array_equal(gumbel_noise(3, KEYS[[4, 0]]), all_noise[[4, 0]])


def test_noise_is_standard_gumbel() -> None:
    """Mean and variance of the noise over neighbouring keys are those of the Gumbel distribution."""
    noise = gumbel_noise(1, np.arange(200_000, dtype=np.uint64))
    np.testing.assert_allclose([noise.mean(), noise.var()], [np.euler_gamma, np.pi**2 / 6], rtol=0.01)


def test_noise_of_neighbouring_seeds_is_unrelated() -> None:
    """Seeds 1 and 2 give uncorrelated noise, also after shifting the keys by one."""
    keys = np.arange(100_000, dtype=np.uint64)
    first, second = gumbel_noise(1, keys), gumbel_noise(2, keys)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert abs(np.corrcoef(first[1:], second[:-1])[0, 1]) < 0.02


def test_noise_never_changes() -> None:
    """The noise is a fixed function: lists that clients stored by seed stay reproducible over releases."""
    np.testing.assert_allclose(
        gumbel_noise(42, np.array([1, 2], np.uint64)), [2.9792242331596515, 0.21552379015847978], rtol=1e-12
    )


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature_above_zero(temperature: float) -> None:
    """A temperature that is not above 0 is refused."""
    with pytest.raises(ValueError, match="temperature"):
        _draw(1, 2, temperature)
