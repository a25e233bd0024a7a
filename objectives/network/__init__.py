"""The network, what is tuned in it, and its model file.

augment     random shifts, rotations, zooms
batchnorm   fused batch normalization
building    a user's `build`
cnn         the default network and space; an objective around any `build`
cost        images and floating point operations
ensemble    several models as one
export      a model file
optimizer   optimizers and schedules
reloading   whether the file can be loaded
targets     labels as the loss wants them
train/      one training
tryout/     the first batches of a user's network
"""
