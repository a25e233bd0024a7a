"""One training, epoch by epoch.

callbacks    the user's callbacks
checkpoint   files from which a training is resumed
plainstate   state of objects without pickle
scoring      accuracy, log loss, finite numbers, durations
state        the state that a checkpoint holds
step         one batch
training     the loop over epochs
"""
