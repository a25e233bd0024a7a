"""Networks: the default CNN and its space, training, a user's `build`, the model file.

augment     random shifts, rotations, zooms of images
batchnorm   faster batch normalization, by TensorFlow's fused kernel
building    calls a user's `build` and checks its network
cnn         the default network and space; an objective around any `build`
cost        cost of a training: images, floating point operations
export      writes the model file; predicts raw images
optimizer   optimizers, schedules, training params
targets     labels in the format that a loss expects
train/      the training of one network
tryout/     checks of a network in its first batches
"""
