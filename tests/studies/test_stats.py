"""Intervals and comparisons over seeds, against known answers, enumeration, scipy and seeded simulations."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats as reference

from aecli.studies.power import SEEDS_LIMIT, power, seeds_to_show, smallest_effect
from aecli.studies.stats import (
    compare_scores,
    has_far_value,
    holm,
    least_p,
    mean_interval,
    mean_ranks,
    paired_difference,
    probability_of_improvement,
    wilcoxon,
)

NAN = math.nan


def study(seed: int, means: dict[str, float], seeds: int = 5, spread: float = 1e-4) -> dict[str, np.ndarray]:
    """Scores that share what a seed does to all variants, and add noise of their own."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 5 * spread, seeds)
    return {name: mean + shared + rng.normal(0, spread, seeds) for name, mean in means.items()}


def by_name(comparison):
    return {row.name: row for row in comparison.rows}


def bounds(interval):
    return interval.estimate, interval.low, interval.high


# Intervals of one variant


def covered(draw, count, trials):
    rng = np.random.default_rng(3)
    intervals = [mean_interval(draw(rng, count)) for _ in range(trials)]
    return np.mean([i.low <= 0 <= i.high for i in intervals])


@pytest.mark.parametrize("count", [5, 11])
def test_the_interval_of_a_mean_covers_it_as_often_as_it_says(count):
    """A plain percentile or BCa bootstrap covers 85 % at five seeds."""
    assert 0.93 <= covered(lambda rng, n: rng.normal(size=n), count, 1000) <= 0.97


def test_the_interval_of_five_skewed_values_covers_nearly_as_often():
    assert 0.88 <= covered(lambda rng, n: np.exp(rng.normal(0, 0.5, n)) - np.exp(0.125), 5, 1000) <= 0.96


def test_the_interval_of_many_values_is_that_of_student():
    values = np.random.default_rng(0).normal(3, 2, 400)
    expected = reference.ttest_1samp(values, 0).confidence_interval()
    np.testing.assert_allclose(bounds(mean_interval(values))[1:], expected, atol=0.02)


def test_the_interval_follows_the_skew_of_the_values():
    interval = mean_interval(np.array([1.0, 1.0, 1.1, 1.2, 1.1, 1.0, 9.0]))
    assert interval.high - interval.estimate > interval.estimate - interval.low


def test_fewer_than_five_values_give_no_interval_and_none_nothing():
    two = mean_interval(np.array([1.0, NAN, 3.0]))
    assert two.estimate == 2
    assert np.isnan([two.low, two.high]).all()
    assert np.isfinite(bounds(mean_interval(np.array([1.0, 2.0, NAN, 3.0, 4.0, 5.0])))).all()
    one = mean_interval(np.array([NAN, 3.0]))
    assert one.estimate == 3
    assert np.isnan([one.low, one.high]).all()
    assert np.isnan(bounds(mean_interval(np.array([NAN, NAN])))).all()


def test_equal_values_have_an_interval_of_no_width():
    np.testing.assert_allclose(bounds(mean_interval(np.full(5, 0.1))), 0.1, rtol=1e-12)


def test_the_interval_is_the_same_on_every_call_and_in_any_order():
    values = np.random.default_rng(1).normal(size=7)
    assert mean_interval(values) == mean_interval(values.copy()) == mean_interval(values[::-1])


@pytest.mark.parametrize(("scale", "shift"), [(1, 1000), (784, 0), (1e-3, -1)])
def test_the_interval_scales_and_shifts_with_the_values(scale, shift):
    values = np.random.default_rng(2).normal(size=6)
    expected = [scale * bound + shift for bound in bounds(mean_interval(values))]
    np.testing.assert_allclose(bounds(mean_interval(scale * values + shift)), expected, rtol=1e-9)


# Pairs


@pytest.mark.parametrize("confidence", [0.95, 0.998])
def test_the_paired_difference_is_that_of_scipy_over_the_shared_seeds(confidence):
    a, b = np.random.default_rng(4).normal(size=(2, 8))
    a[1] = b[6] = NAN
    both = np.isfinite(a) & np.isfinite(b)
    expected = reference.ttest_rel(a[both], b[both]).confidence_interval(confidence)
    interval = paired_difference(a, b, confidence)
    np.testing.assert_allclose(bounds(interval), [np.mean(a[both] - b[both]), *expected])


def test_variants_without_a_shared_seed_have_no_difference():
    a, b = np.array([1.0, NAN]), np.array([NAN, 1.0])
    assert np.isnan(bounds(paired_difference(a, b))).all()
    assert np.isnan(bounds(probability_of_improvement(a, b))).all()
    assert wilcoxon(a, b) == 1


@pytest.mark.parametrize("wins", range(6))
def test_the_probability_of_improvement_is_the_share_of_wins_with_wilsons_interval(wins):
    a = np.array([1.0] * wins + [3.0] * (5 - wins))
    expected = reference.binomtest(wins, 5).proportion_ci(method="wilson")
    found = probability_of_improvement(a, np.full(5, 2.0))
    np.testing.assert_allclose(bounds(found), [wins / 5, *expected], atol=1e-12)


def test_a_tie_is_half_a_win_and_the_two_probabilities_add_up():
    a, b = np.array([1.0, 2, 3, 4, NAN]), np.array([1.0, 3, 4, 5, 6])
    assert probability_of_improvement(a, b).estimate == 0.875
    there, back = probability_of_improvement(a, b), probability_of_improvement(b, a)
    np.testing.assert_allclose(bounds(there), [1 - back.estimate, 1 - back.high, 1 - back.low])


def enumerated(differences: np.ndarray) -> float:
    """Wilcoxon's two-sided p from all 2 ** n ways to put the signs."""
    differences = differences[differences != 0]
    ranks = reference.rankdata(np.abs(differences))
    seen = ranks[differences > 0].sum()
    sums = np.array([ranks[list(signs)].sum() for signs in product([False, True], repeat=len(ranks))])
    return min(1.0, 2 * min(np.mean(sums <= seen), np.mean(sums >= seen)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_wilcoxon_is_the_enumeration_of_all_signs(count, seed):
    a, b = np.random.default_rng(seed).normal([[0.8], [0]], 1, (2, count))
    assert wilcoxon(a, b) == pytest.approx(enumerated(a - b))


@pytest.mark.parametrize("seeds", [2, 5, 11])
def test_the_least_p_is_that_of_a_variant_that_loses_on_every_seed(seeds):
    lost = {name: np.arange(seeds) * 0.1 + i * np.arange(1, seeds + 1) for i, name in enumerate("abc")}
    against = compare_scores(lost).rows[2].against_best
    assert (against.p, against.p_holm) == pytest.approx(least_p(seeds, 3))
    assert least_p(2, 8) == (0.5, 1.0)


@pytest.mark.parametrize("seed", range(4))
def test_wilcoxon_with_ties_and_zeros_is_the_enumeration_too(seed):
    differences = np.random.default_rng(seed).integers(-1, 4, 9).astype(np.float64)
    assert wilcoxon(differences, np.zeros(9)) == pytest.approx(enumerated(differences))


def test_wilcoxon_stays_exact_where_some_of_many_scores_are_equal():
    differences = np.append(np.random.default_rng(0).normal(0.5, 1, 14), [0, 0, 0])
    assert wilcoxon(differences, np.zeros(17)) == pytest.approx(enumerated(differences))


def test_five_seeds_cannot_reach_a_small_p_however_clear_the_difference():
    assert wilcoxon(np.arange(5.0), np.arange(5.0) * 2 + 100) == pytest.approx(0.0625)


def test_equal_variants_have_p_1():
    assert wilcoxon(np.arange(5.0), np.arange(5.0)) == 1


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_ranks_share_ties_and_leave_out_seeds_that_a_variant_lacks():
    ranks = mean_ranks({
        "a": np.array([1.0, 1, 5, 9]),
        "b": np.array([2.0, 1, 4, NAN]),
        "c": np.array([3.0, 0, 6, 1]),
        "none": np.full(4, NAN),
    })  # fmt: skip
    assert [ranks[name] for name in "abc"] == pytest.approx([(1 + 2.5 + 2) / 3, (2 + 2.5 + 1) / 3, (3 + 1 + 3) / 3])
    assert math.isnan(ranks["none"])


# Many variants


def test_five_seeds_tell_a_clear_difference_and_only_that():
    """The sentence the comparison is for: two cannot be told apart, the third is worse by so much."""
    found = compare_scores(study(0, {"sigmoid": 0.0085, "prelu": 0.0035, "linear": 0.0035}))
    assert set(found.tied) == {"prelu", "linear"}
    assert found.best == found.tied[0] == found.rows[0].name
    worse = by_name(found)["sigmoid"].against_best
    assert worse.distinguishable
    assert worse.worse_by.low < 0.005 < worse.worse_by.high
    assert worse.worse_by.high - worse.worse_by.low < 0.001
    assert worse.best_wins.estimate == 1
    assert worse.p == pytest.approx(0.0625)
    assert worse.p_holm >= 3 * worse.p - 1e-9
    assert by_name(found)[found.best].against_best is None


def test_a_collapsed_variant_is_shown_last_and_counts_for_nothing():
    scores = study(1, {"a": 0.1, "b": 0.2, "c": 0.3})
    without, found = compare_scores(scores), compare_scores({"none": np.full(5, NAN), **scores})
    assert (found.best, found.tied, found.seeds_needed) == (without.best, without.tied, without.seeds_needed)
    assert found.rows[:3] == without.rows
    last = found.rows[3]
    assert (last.name, last.seeds, last.against_best) == ("none", 0, None)
    assert np.isnan([last.mean_rank, *bounds(last.mean)]).all()


def test_each_pair_uses_the_seeds_it_shares():
    scores = study(2, {"a": 0.1, "b": 0.2, "c": 0.3}, seeds=6)
    scores["b"][0] = scores["c"][4] = scores["c"][5] = NAN
    found = by_name(compare_scores(scores))
    assert [found[name].seeds for name in "abc"] == [6, 5, 4]
    assert found["c"].against_best.seeds == 4
    assert found["c"].against_best.worse_by.estimate == pytest.approx(np.mean((scores["c"] - scores["a"])[:4]))


def test_a_variant_lucky_in_its_seeds_does_not_make_the_others_worse():
    shared = np.array([0.0, 1, 2, 3, 4, 5])
    lucky = np.where(shared < 3, shared + np.array([0.010, 0.011, 0.010, 0, 0, 0]), NAN)
    found = compare_scores({"full": shared, "lucky": lucky})
    assert found.best == "lucky"
    assert found.tied == ("lucky", "full")
    assert found.rows[1].against_best.worse_by.high < 0


def test_no_variant_and_no_score():
    for scores in ({}, {"a": np.array([NAN, NAN])}):
        found = compare_scores(scores)
        assert (found.best, found.tied, found.seeds_needed) == (None, (), None)
        assert [row.name for row in found.rows] == list(scores)


def test_one_variant_is_the_best_and_has_nothing_to_be_compared_with():
    found = compare_scores({"a": np.array([1.0, 2.0])})
    assert (found.best, found.tied, found.seeds_needed) == ("a", ("a",), None)


def test_one_seed_tells_nothing_apart():
    found = compare_scores({"a": np.array([1.0]), "b": np.array([2.0]), "c": np.array([3.0])})
    assert found.tied == ("a", "b", "c")
    assert [row.mean_rank for row in found.rows] == [1, 2, 3]
    assert found.seeds_needed == 7  # 3 * 2 ** (1 - 7) = 0.047


def test_no_number_of_seeds_tells_equal_variants_apart():
    found = compare_scores(dict.fromkeys("abc", np.array([1.0, 2.0, 3.0])))
    assert found.tied == ("a", "b", "c")
    assert found.seeds_needed is None
    assert all(row.against_best is None or row.against_best.p_holm == 1 for row in found.rows)
    assert [row.mean_rank for row in found.rows] == [2, 2, 2]


def test_higher_is_better_is_lower_is_better_of_the_negative():
    scores = study(3, {"a": 30.0, "b": 20.0, "c": 30.00001})
    higher, lower = (
        compare_scores(scores, higher_is_better=True),
        compare_scores({name: -v for name, v in scores.items()}),
    )
    assert (higher.best, higher.tied, higher.seeds_needed) == (lower.best, lower.tied, lower.seeds_needed)
    assert by_name(higher)["b"].against_best == by_name(lower)["b"].against_best
    assert by_name(higher)["b"].against_best.worse_by.estimate == pytest.approx(10, abs=0.01)
    assert by_name(higher)["b"].mean.estimate == pytest.approx(20, abs=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_variants_and_of_seeds_changes_nothing(seed):
    scores = study(seed, {"a": 0.1, "b": 0.1, "c": 0.10005, "d": 0.1005})
    order = np.random.default_rng(seed).permutation(5)
    found = compare_scores(scores)
    assert compare_scores(dict(reversed(scores.items()))) == found
    shuffled = compare_scores({name: values[order] for name, values in scores.items()})
    assert (shuffled.tied, shuffled.seeds_needed) == (found.tied, found.seeds_needed)
    assert [row.against_best for row in shuffled.rows] == [row.against_best for row in found.rows]


@pytest.mark.parametrize(("scale", "shift"), [(784, 0), (1, 3), (1e-3, -1)])
def test_the_unit_of_the_scores_changes_no_verdict(scale, shift):
    scores = study(4, {"a": 0.1, "b": 0.1, "c": 0.10005, "d": 0.1005})
    found, other = compare_scores(scores), compare_scores({name: scale * v + shift for name, v in scores.items()})
    assert (other.tied, other.seeds_needed) == (found.tied, found.seeds_needed)
    for a, b in zip(found.rows[1:], other.rows[1:], strict=True):
        assert b.against_best.p_holm == a.against_best.p_holm
        expected = [scale * bound for bound in bounds(a.against_best.worse_by)]
        np.testing.assert_allclose(bounds(b.against_best.worse_by), expected, rtol=1e-6)


@pytest.mark.parametrize(("seeds", "trials"), [(5, 150), (11, 60)])
def test_identical_variants_are_seldom_called_different(seeds, trials):
    """The best of eight is picked by the same seeds: corrected for the seven comparisons alone it would be 10 %."""
    false = [len(compare_scores(study(i, dict.fromkeys("abcdefgh", 0.1), seeds)).tied) < 8 for i in range(trials)]
    assert np.mean(false) <= 0.06


def test_a_difference_large_for_its_noise_is_found_among_eight():
    means = dict.fromkeys("abcdefg", 0.1) | {"worse": 0.1 + 10e-4}
    found = ["worse" not in compare_scores(study(i, means)).tied for i in range(60)]
    assert np.mean(found) >= 0.8


@pytest.mark.parametrize("means", [[0.1, 0.2, 0.3], [0.1, 0.2, 0.2]])
def test_the_worst_is_shown_to_be_worse_than_every_other(means):
    found = compare_scores(study(5, dict(zip("abc", means, strict=True))))
    assert found.worst == ("c" if means[2] > means[1] else None)
    assert not set(found.tied) & {"b", "c"}


def test_no_worst_of_identical_variants_nor_of_one():
    found = [compare_scores(study(i, dict.fromkeys("abcd", 0.1))).worst for i in range(60)]
    assert sum(name is not None for name in found) <= 3
    assert compare_scores({"a": np.arange(5.0)}).worst is None


def test_a_variant_without_a_shared_seed_is_not_shown_to_be_worst():
    found = compare_scores({"a": np.array([1.0, 1.1, NAN, NAN]), "b": np.array([NAN, NAN, 9.0, 9.1])})
    assert found.worst is None


def test_the_best_wins_a_seed_that_had_no_say_in_half_of_the_cases_where_all_are_alike():
    """By the seeds that picked it, it wins 71 % of them."""
    against = [
        row.against_best
        for i in range(60)
        for row in compare_scores(study(i, dict.fromkeys("abcdefgh", 0.1))).rows
        if row.against_best
    ]
    assert np.mean([each.best_wins.estimate for each in against]) > 0.65
    assert np.mean([each.best_wins_unseen.estimate for each in against]) == pytest.approx(0.52, abs=0.05)


def test_the_best_that_is_best_without_any_one_seed_wins_as_before():
    for row in compare_scores(study(0, {"a": 0.1, "b": 0.2, "c": 0.3})).rows[1:]:
        assert row.against_best.best_wins_unseen == row.against_best.best_wins


def test_the_best_of_the_other_seeds_by_hand():
    """Without seed 0 b is the best, without seed 1 or 2 a; a variant against itself is a tie."""
    scores = {"a": np.array([0.0, 5, 4]), "b": np.array([9.0, 3, 4.5])}
    found = compare_scores(scores)
    assert found.best == "a"
    # b does worse on seed 0, where it is the best itself: half; a loses on seed 1 and wins on seed 2.
    assert found.rows[1].against_best.best_wins_unseen.estimate == pytest.approx((0.5 + 0 + 1) / 3)


def test_one_seed_has_no_other_that_could_pick_the_best():
    against = compare_scores({"a": np.array([1.0]), "b": np.array([2.0])}).rows[1].against_best
    assert np.isnan([*bounds(against.best_wins_unseen), against.shown_from]).all()


def test_a_seed_far_from_the_others_is_noticed_and_seldom_found_among_normal_ones():
    scores = {"a": np.array([1.0, 1.1, 1.05, 0.95, 9.0]), "b": np.array([1.0, 1.1, 1.2, 1.3, 1.4])}
    assert compare_scores(scores).far_seeds == ("a",)
    assert compare_scores({"same": np.full(5, 0.1), "few": np.array([1, 1, 9, NAN, NAN])}).far_seeds == ()
    values = np.random.default_rng(0).normal(size=(2000, 5))
    assert np.mean([has_far_value(row, 0.05) for row in values]) == pytest.approx(0.05, abs=0.015)


# Power


@pytest.mark.parametrize(("effect", "seeds", "error"), [(2.0, 5, 0.05 / 28), (1.0, 11, 0.05 / 28), (0.8, 8, 0.05)])
def test_the_power_is_the_share_of_simulated_studies_that_show_the_difference(effect, seeds, error):
    draws = np.random.default_rng(1).normal(effect, 1, (20_000, seeds))
    half = reference.t.ppf(1 - error / 2, seeds - 1) * draws.std(axis=1, ddof=1) / math.sqrt(seeds)
    assert power(effect, seeds, error) == pytest.approx(np.mean(draws.mean(axis=1) > half), abs=0.012)


@pytest.mark.parametrize("seeds", [2, 5, 20])
def test_the_smallest_effect_has_the_power_that_was_asked_for(seeds):
    assert power(smallest_effect(seeds, 0.01), seeds, 0.01) == pytest.approx(0.8, abs=1e-3)


def test_the_seeds_that_show_an_effect_are_the_fewest():
    needed = seeds_to_show(1.0, 0.05 / 28)
    assert power(1.0, needed, 0.05 / 28) >= 0.8 > power(1.0, needed - 1, 0.05 / 28)


def test_one_seed_shows_nothing():
    assert power(100.0, 1, 0.05) == 0
    assert math.isnan(smallest_effect(1, 0.05))


def test_no_difference_between_tied_variants_reaches_what_would_be_shown():
    for i in range(40):
        found = compare_scores(study(i, dict.fromkeys("abcd", 0.1) | {"e": 0.101}))
        for row in found.rows:
            if row.name in found.tied and row.against_best:
                assert row.against_best.worse_by.estimate < row.against_best.shown_from <= found.shown_from


# Seeds needed


def with_effect(effect: float, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Two variants whose differences have exactly this mean, in standard deviations."""
    noise = np.random.default_rng(seed).normal(size=count)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    return {"best": np.zeros(count), "other": noise + effect}


@pytest.mark.parametrize(("effect", "confidence"), [(0.5, 0.95), (0.9, 0.95), (0.9, 0.998)])
def test_the_seeds_needed_find_the_difference_four_times_in_five(effect, confidence):
    needed = compare_scores(with_effect(effect, 5), confidence=confidence).seeds_needed
    draws = np.random.default_rng(5).normal(effect, 1, (2000, needed))
    found = [paired_difference(values, np.zeros(needed), confidence).low > 0 for values in draws]
    assert 0.77 <= np.mean(found) <= 0.86


def test_eight_variants_need_at_least_eleven_seeds():
    """Fewer cannot bring Wilcoxon's p, corrected for the 28 pairs, to 0.05."""
    found = compare_scores({f"v{i}": np.array([1.0, -1.0]) * i + 10 * i for i in range(8)})
    assert len(found.tied) > 1
    assert found.seeds_needed == 11


def test_the_hardest_difference_decides_and_may_be_out_of_reach():
    easy, hard = with_effect(0.5, 8)["other"], with_effect(0.3, 8, seed=1)["other"]
    both = compare_scores({"best": np.zeros(8), "easy": easy, "hard": hard})
    assert both.seeds_needed > compare_scores({"best": np.zeros(8), "easy": easy}).seeds_needed
    assert both.seeds_needed == compare_scores({"best": np.zeros(8), "hard": hard, "same": hard}).seeds_needed
    assert both.seeds_needed < SEEDS_LIMIT
    assert compare_scores(with_effect(0.01, 8)).seeds_needed is None
