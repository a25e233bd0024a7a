"""The network, its search space, its training and its model file.

augment     random shifts, rotations, zooms
batchnorm   fused batch normalization
building    the call of a user's `build`
cnn         the default network and space; an objective around any `build`
cost        images and floating point operations
export      raw images to probabilities, and the model file
optimizer   optimizers and schedules
targets     labels in the form that the loss takes
train/      one training
tryout/     checks in the first batches
"""
