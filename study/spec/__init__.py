"""The definition of a study: its spec, how its params are drawn, where its files are.

code       the user's code that trials run, and whether this machine may run it
define     makes the spec of a new study
draw       params as a pure function of (seed, slot, name)
effort     numbers of candidates, folds, epochs and networks of a finalize
open       opens an existing study; loads its objective and data
orders     stop, pause, resume, retry
pruners    Optuna's pruners by name
samplers   Optuna's samplers by name
spec       the fields that define a study, with their options; refuses changes of them
trials     finds the trial `12` or `slot:37`
workdir    paths of logs and checkpoints
"""
