import keras

SPACE = {
    "units": [64, 128, 256],
    "dropout": {"low": 0.0, "high": 0.5},
    "learning_rate": {"low": 3e-4, "high": 3e-3, "log": True},
}


def build(params, image_shape, n_classes):
    images = keras.Input(image_shape)
    hidden = keras.layers.Dense(params["units"], activation="relu")(keras.layers.Flatten()(images))
    dropped = keras.layers.Dropout(params["dropout"])(hidden)
    return keras.Model(images, keras.layers.Dense(n_classes, activation="softmax")(dropped))
