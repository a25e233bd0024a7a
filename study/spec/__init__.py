"""What a study is: what defines it, how its params are drawn, where its files are.

code       the user's code that trials run, and whether this machine was told of it
define     makes the spec of a new study
draw       params as a pure function of (seed, slot, name)
open       finds a study; loads its objective and data
orders     stop, pause, resume, retry
pruners    Optuna's pruners by name
samplers   Optuna's samplers by name
spec       the fields that define a study, with their options; names a difference
trials     finds the trial `12` or `slot:37`
workdir    paths of logs and checkpoints
"""
