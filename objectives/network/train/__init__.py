"""The training of one network, epoch by epoch.

callbacks    calls the user's Keras callbacks
checkpoint   checkpoint files, from which a training resumes
plainstate   saves the state of a user's objects without pickle
scoring      accuracy, log loss, checks for NaN, durations
state        gathers and restores the state in a checkpoint
step         trains or tests one batch
training     the loop over epochs
"""
