"""Gaussian and quantised codes: known answers, and where a network of them begins."""

import numpy as np
import pytest
from scipy import stats

from aecli.core.errors import ConfigError
from aecli.models.backend import keras
from aecli.models.code import QuantisedCode, _best_gains
from aecli.models.code_layers import LOG_VARIANCE_BOUND, Bounded, Quantised
from aecli.models.linear.probabilistic import linear_gaussian
from aecli.models.losses.likelihood import LIKELIHOODS
from aecli.models.losses.variational import latent_kl, variational
from aecli.runs.config_file import load_config
from tests.conftest import PLAIN

GAUSSIAN = "model.code={gaussian: {}}"
LINEAR = (*PLAIN, "model.latent_activation=linear", "model.output_activation=linear")


def numbers(*shape, seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


# -- the distributions -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "scale", "density"),
    [
        ("mse", 0.04, lambda x, mean: -stats.norm.logpdf(x, mean, 0.2)),
        ("mae", 0.3, lambda x, mean: -stats.laplace.logpdf(x, mean, 0.3)),
        ("binary_crossentropy", 1.0, lambda x, mean: -(x * np.log(mean) + (1 - x) * np.log(1 - mean))),
    ],
)
def test_a_loss_is_the_logarithm_of_its_distribution(loss, scale, density):
    images, means = (np.random.default_rng(i).uniform(0.05, 0.95, (5, 3, 4, 1)).astype(np.float32) for i in (0, 1))
    objective = variational(loss, 1.0, 0, 0.0)
    outputs = {
        "reconstructions": keras.ops.convert_to_tensor(means), "scale": scale,
        "latents": np.zeros((5, 2), np.float32), "log_variances": np.zeros((5, 2), np.float32),
    }  # fmt: skip
    nats, kl = objective.per_image(keras.ops.convert_to_tensor(images), outputs)
    expected = density(images.astype(np.float64), means.astype(np.float64)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(np.asarray(nats), expected, rtol=1e-5)
    assert not np.asarray(kl).any()  # the prior itself


@pytest.mark.parametrize(("loss", "sigma"), [("mse", stats.norm(0, 0.2)), ("mae", stats.laplace(0, 0.2))])
def test_sigma_is_the_standard_deviation(loss, sigma):
    likelihood = LIKELIHOODS[loss]
    scale = likelihood.first(sigma.var())
    assert likelihood.sigma(scale) == pytest.approx(sigma.std())


def test_the_kl_is_that_of_two_gaussians():
    means, log_variances = numbers(4, 3), numbers(4, 3, seed=1)
    given = latent_kl(keras.ops, {"latents": means, "log_variances": log_variances})
    x = np.linspace(-12, 12, 20001)
    for i, j in np.ndindex(4, 3):
        own = stats.norm(means[i, j], np.exp(log_variances[i, j] / 2))
        expected = np.trapezoid(own.pdf(x) * (own.logpdf(x) - stats.norm.logpdf(x)), x)
        assert float(given[i, j]) == pytest.approx(expected, abs=1e-4)


def test_beta_warms_and_free_bits_cost_nothing():
    objective = variational("mse", beta=4.0, warmup=3, free_bits=0.5)
    assert [objective.warmth(epoch) for epoch in (1, 2, 3, 4, 5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    latents = np.array([[0.2, 3.0]], np.float32)  # 0.02 and 4.5 nats
    outputs = {"latents": latents, "log_variances": np.zeros((1, 2), np.float32)}
    [_, kl] = objective.terms
    assert float(kl.weighted(None, outputs, 0.5)[0]) == pytest.approx(0.5 * 4 * (0.5 + 4.5))
    assert float(kl.shown(None, outputs)[0]) == pytest.approx(0.02 + 4.5)


# -- the layers --------------------------------------------------------------------------------


def test_log_variances_are_bounded_and_nearly_themselves_inside():
    x = np.array([-1e9, -5, -1, 0, 1, 5, 1e9], np.float32)
    bounded = np.asarray(Bounded(LOG_VARIANCE_BOUND)(x))
    assert np.abs(bounded).max() <= LOG_VARIANCE_BOUND
    np.testing.assert_allclose(bounded[2:5], x[2:5], atol=2e-3)


@pytest.mark.parametrize("levels", [2, 3, 4, 8, 255, 256])
def test_a_quantised_code_has_its_levels_alone_and_all_of_them(levels):
    code = np.asarray(Quantised(levels)(np.linspace(-9, 9, 200_001, dtype=np.float32)))
    expected = np.linspace(-1, 1, levels)
    np.testing.assert_allclose(np.unique(code), expected, atol=1e-6)
    assert (np.diff(code) >= 0).all()


def test_the_gradient_goes_straight_through_the_rounding():
    from aecli.training.engines.tensorflow.backend import tf

    x = tf.constant(np.linspace(-2, 2, 9, dtype=np.float32))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(Quantised(5)(x))
    np.testing.assert_allclose(tape.gradient(total, x), 1 - np.tanh(x) ** 2, rtol=1e-5)


def test_bits_are_counted():
    assert QuantisedCode(levels=8).bits(16) == 48
    assert QuantisedCode(levels=5).bits(3) == pytest.approx(3 * 2.321928)


def test_more_levels_lose_less_of_a_normal_latent():
    lost = [_best_gains(levels)[2] for levels in (2, 3, 8, 64)]
    assert lost == sorted(lost, reverse=True)
    assert lost[0] == pytest.approx(1 - 2 / np.pi, abs=1e-3)  # the sign of a normal number, at its best gain
    assert lost[-1] < 0.02


# -- probabilistic PCA -------------------------------------------------------------------------


def gaussian_images(count=40_000, size=12):
    """Numbers of a few strong directions and noise, and the eigenvalues of their covariance."""
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(size, size)))[0][:, :3] * [3.0, 1.5, 0.8]
    x = rng.normal(size=(count, 3)) @ directions.T + rng.normal(0, 0.4, (count, size))
    return x - x.mean(axis=0), np.linalg.eigvalsh(np.cov(x, rowvar=False, bias=True))[::-1]


@pytest.mark.parametrize("latents", [0, 1, 3, 6])
def test_the_closed_form_is_the_density_of_the_fitted_gaussian(latents):
    x, eigenvalues = gaussian_images()
    fitted = linear_gaussian(eigenvalues[:latents], eigenvalues[latents:].sum(), x.shape[1])
    vectors = np.linalg.eigh(np.cov(x, rowvar=False, bias=True))[1][:, ::-1]
    spread = np.full(x.shape[1], fitted.noise)
    spread[: fitted.active] = fitted.variances[: fitted.active]
    density = stats.multivariate_normal(np.zeros(x.shape[1]), vectors @ np.diag(spread) @ vectors.T)
    assert fitted.negative_log_likelihood == pytest.approx(-density.logpdf(x).mean(), rel=1e-9)


def test_the_active_directions_are_those_above_the_noise():
    fitted = linear_gaussian(np.array([9.0, 2.0, 0.5, 0.1]), beyond=0.4, size=12, beta=1.0)
    assert fitted.active == 4  # a learned noise lies below all that it does not explain
    assert fitted.noise == pytest.approx(0.4 / 8)
    many = linear_gaussian(np.array([9.0, 2.0, 0.5, 0.1]), beyond=0.8, size=12, beta=6.0)
    assert many.active == 1
    assert many.noise == pytest.approx((0.8 + 2.6) / (12 - 6))
    assert (many.variances[: many.active] > 6 * many.noise).all()
    assert not (many.variances[many.active :] > 6 * many.noise).any()


def test_no_variance_is_no_latent():
    fitted = linear_gaussian(np.zeros(3), beyond=0.0, size=4)
    assert (fitted.active, *fitted.gains) == (0, 0, 0, 0)
    assert np.isfinite(fitted.negative_log_likelihood)


# -- networks ----------------------------------------------------------------------------------

NETWORKS = [
    ("model.hidden=[6]", "model.latent_dim=4"),
    ("model.hidden=[]", "model.latent_dim=4"),
    ("model.family=conv", "model.channels=[4]", "model.latent_dim=4"),
    ("model.family=conv", "model.channels=[4]", "model.latent_channels=3"),
]


def built(*overrides):
    model = load_config(None, overrides).config.model
    return model, model.build((8, 6, 2), 0)


@pytest.mark.parametrize("keys", NETWORKS, ids=" ".join)
@pytest.mark.parametrize("path", ["auto", "none"])
@pytest.mark.parametrize("code", [GAUSSIAN, "model.code={quantised: {levels: 5}}"])
def test_every_family_has_every_code_and_counts_its_weights(keys, path, code):
    model, network = built(*keys, code, f"model.linear_path={path}")
    assert model.parameter_count((8, 6, 2)) == network.model.count_params()
    images = numbers(3, 8, 6, 2)
    outputs = network.outputs(images, training=False)
    length = model.code_length((8, 6, 2))
    assert outputs["latents"].shape == (3, length)
    assert outputs["reconstructions"].shape == images.shape
    assert ("log_variances" in outputs) == (code == GAUSSIAN)
    np.testing.assert_allclose(network.model(images), outputs["reconstructions"], atol=1e-6)


def test_a_code_is_drawn_with_noise_and_decoded_from_its_mean_without():
    _, network = built("model.hidden=[6]", "model.latent_dim=4", GAUSSIAN, "model.linear_path=none")
    images, noise = numbers(3, 8, 6, 2), numbers(3, 4)
    outputs = network.outputs(images, training=False, noise=noise)
    codes = np.asarray(outputs["latents"]) + np.exp(np.asarray(outputs["log_variances"]) / 2) * noise
    np.testing.assert_allclose(outputs["reconstructions"], network.decoder(codes), atol=1e-6)
    assert np.abs(np.asarray(outputs["reconstructions"]) - np.asarray(network.model(images))).max() > 1e-4


def test_weights_of_a_plain_network_do_not_depend_on_codes():
    plain, gaussian = (built("model.hidden=[6]", "model.linear_path=none", *keys)[1] for keys in ((), (GAUSSIAN,)))
    shared = {tuple(v.path.split("/")[-2:]): v for v in gaussian.model.variables}
    for variable in plain.model.variables:
        np.testing.assert_array_equal(variable, shared[tuple(variable.path.split("/")[-2:])])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("model.code={gaussian: {beta: -1}}",), r"expected a number >= 0, received -1"),
        (("model.code={gaussian: {}, quantised: {}}",), r"a code is gaussian or quantised, not both"),
        (("model.code={quantised: {levels: 1}}",), r"expected a number >= 2, received 1"),
        ((GAUSSIAN, "model.latent_activation=relu"), r"code gaussian: latent_activation relu cuts it off: set"),
        (("model.code={gauss: {}}",), r"unknown key; did you mean 'gaussian'\?"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(keys, message):
    with pytest.raises(ConfigError, match=message) as error:
        load_config(None, keys)
    assert len(str(error.value).splitlines()) == 1


def test_an_empty_code_is_one_of_plain_numbers():
    model, network = built("model.code={}")
    assert model.variational is None
    assert network.scale is None


@pytest.mark.parametrize("keys", NETWORKS, ids=" ".join)
def test_log_variances_and_what_is_drawn_are_float32_under_mixed_precision(keys):
    from aecli.models.layers import computing_in

    model = load_config(None, (*keys, GAUSSIAN)).config.model
    with computing_in("mixed"):
        network = model.build((8, 6, 2), 0)
    images = numbers(3, 8, 6, 2)
    noise = numbers(3, model.code_length((8, 6, 2)))
    outputs = network.outputs(images, training=True, noise=noise)
    assert outputs["log_variances"].dtype == outputs["reconstructions"].dtype == np.float32
    terms = model.objective("mse").per_image(keras.ops.convert_to_tensor(images), outputs)
    assert all(term.dtype == np.float32 for term in terms)
