"""Objectives, which a study tunes: data, search space, training, prediction.

base        the contract of an objective
data/       labelled images as arrays
errors      failures that the user can fix; exceptions that end a trial
files/      files written and read safely
framework/  Keras and its backend, loaded late
load        loads an objective by its name
network/    the default network and its training
refit       retrains a configuration, for finalize
source      imports the user's Python files
space/      the search space
synthetic   an objective that trains nothing
"""
