"""What is tuned: data, search space, training, prediction.

base        the contract of an objective
data/       labelled images as arrays
errors      failures that the user can mend, and ends of a trial
files/      files written and read safely
framework/  Keras, loaded late and quietly
load        from a name to an objective
network/    the default network and its training
refit       a configuration trained anew, for finalize
source      Python files of the user
space/      the search space
synthetic   an objective that trains nothing
"""
