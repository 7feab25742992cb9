"""A misspelt command, choice or option is answered with the one that was meant."""

import pytest

from aecli.views.plot_table import PLOTS


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("trian",), "No such command 'trian'; did you mean 'train'?"),
        (("reconstuct", "a.npy"), "did you mean 'reconstruct'?"),
        (("config", "shwo"), "No such command 'shwo'; did you mean 'show'?"),
        (("cache", "claer"), "No such command 'claer'; did you mean 'clear'?"),
        (("help",), "No such command 'help'; see "),
        (("plot", "histry"), "received 'histry'; did you mean 'history'?"),
        (("plot", "xyz"), f"expected one of {', '.join(PLOTS)}, received 'xyz'"),
        (("import", "a.npy", "--fit", "strech"), "received 'strech'; did you mean 'stretch'?"),
        (("compare", "a.npy", "--table", "latx"), "received 'latx'; did you mean 'latex'?"),
        (("train", "--dta", "x"), "No such option '--dta'; did you mean '--data'?"),
        (("train", "--epochs", "3"), "No such option '--epochs'; did you mean --set training.epochs=VALUE?"),
        (("train", "--latent-dim=8"), "No such option '--latent-dim'; did you mean --set model.latent_dim=VALUE?"),
        (("compare", "a.npy", "--batch_size", "8"), "did you mean --set training.batch_size=VALUE?"),
        (("plot", "--wurst", "3"), "No such option '--wurst'; did you mean '--worst'?"),
        (("encode", "a.npy", "--zzz"), "No such option '--zzz'; see --help"),
        (("train", "--config", "prellu"), "did you mean 'prelu"),
        (("compare", "a.npy", "--activations", "rellu"), "did you mean 'relu'?"),
    ],
)  # fmt: skip
def test_the_word_that_was_meant_is_named(ae, arguments, says):
    result = ae(*arguments)
    assert result.exit_code in (1, 2)
    assert says in result.stderr
