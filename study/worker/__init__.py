"""One worker process, from its start to its end.

breaker       the same error from the start stops a study
checkpoints   which checkpoints stay
ending        how the process ends, and when it is replaced
log           the log file of an attempt
presence      registration and heartbeat of a worker
prewarmed     a process that loads the framework before its command is known
process       the process of `study worker`
replay        a trial run again and compared
signals       the first and the second signal
suggest       params from Optuna's samplers; pruning
told          what a supervisor tells its workers
trial         one claimed trial, and what each end means
worker        which trial is next, and when to leave
"""
