"""One training, epoch by epoch.

callbacks    the user's callbacks
checkpoint   files from which a training goes on
finite       losses and weights that are no numbers
plainstate   state of objects without pickle
scoring      accuracy and log loss; durations
state        what a checkpoint holds
step         one batch
training     the loop
"""
