"""A worker process: claim trials, train them, report, until the study is done.

breaker       circuit breaker: repeated errors before any success stop a study
checkpoints   removes checkpoints of finished slots
ending        how the process ends, and when a new process replaces it
log           the log file of an attempt
main          main function of `study worker --workers 1`
presence      registration and heartbeat of a worker
prewarmed     the process that `run/prewarm` starts: loads the framework, waits for a command
replay        runs a stored trial again and compares
signals       SIGINT and SIGTERM: the first drains, the second ends the process
suggest       params from Optuna's samplers; pruning
told          options, command line and environment of a worker process
trial         trains one claimed trial and stores how it ended
worker        the loop: which trial is next, and when to stop
"""
