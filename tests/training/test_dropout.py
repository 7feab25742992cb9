"""Dropout's masks: the asked share, of each image for itself, the same whenever and wherever they are drawn."""

import numpy as np
import pytest

from aecli.core.rng import draw_key
from aecli.training.engines.tensorflow.backend import keras, tf
from aecli.training.engines.tensorflow.dropout import Dropout

RATE, WIDTH = 0.3, 400


@pytest.fixture(scope="module")
def dropped():
    """What two dropout layers make of ones in training, for rows of a file in an epoch."""
    inputs = keras.Input((WIDTH,))
    model = keras.Model(inputs, [keras.layers.Dropout(RATE, name=name)(inputs) for name in ("first", "second")])
    dropout = Dropout(model)

    def outputs(rows, epoch=1, training=True):
        dropout.begin(tf.constant(rows, tf.uint32), tf.constant(draw_key(0, epoch), tf.uint32))
        return [np.asarray(values) for values in model(tf.ones((len(rows), WIDTH)), training=training)]

    return outputs


def test_the_asked_share_is_dropped_and_the_mean_stays(dropped):
    values = dropped(range(500))[0]
    assert set(np.unique(values)) == {0, np.float32(1) / np.float32(1 - RATE)}
    # 200,000 independent draws: five standard deviations.
    assert np.mean(values == 0) == pytest.approx(RATE, abs=5 * np.sqrt(RATE * (1 - RATE) / values.size))


def test_masks_belong_to_an_image_an_epoch_and_a_layer(dropped):
    first, second = dropped(range(8))
    np.testing.assert_array_equal(dropped([5, 2])[0], first[[5, 2]])
    agree = RATE**2 + (1 - RATE) ** 2  # the share of the places in which independent masks do
    for other in (first[1], second[0], dropped([0], epoch=2)[0][0]):
        share = np.mean((first[0] != 0) == (other != 0))
        assert share == pytest.approx(agree, abs=5 * np.sqrt(agree * (1 - agree) / WIDTH))


def test_nothing_is_dropped_outside_training(dropped):
    np.testing.assert_array_equal(dropped([0, 1], training=False)[1], 1)
