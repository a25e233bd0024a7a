"""What a study is: what defines it, how its params are drawn, who works on it.

code       which code of the user a study's trials run, and whether this machine was told of
           it
define     from a command line to a spec
draw       params as a pure function of (seed, slot, name)
open       which study is meant; its objective and data in this process
orders     stop, pause, resume, retry
pruners    Optuna's pruners by name
samplers   Optuna's samplers by name
spec       the fields that define a study; how a difference is named
trials     which trial `12` or `slot:37` is
workdir    where logs and checkpoints lie
"""
