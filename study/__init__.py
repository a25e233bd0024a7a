"""The study as its user sees it: create, work, watch, finalize.

cli/        the commands
dashboard/  optuna-dashboard behind a login, and our pages
demo        the data of `make demo`, and its score
errors      failures that the user can fix
finalize/   retrain the best and write the submission
machine/    what this machine has: GPUs, cores, memory, locks
options     each option, defined once: name, variable, help, default
report/     the HTML report
run/        create a study, and run workers on this machine
spec/       what a study is
text        escapes untrusted text for terminals and spreadsheets; formats numbers
view/       status, watch, trials, logs, list, score
worker/     one worker process: claim, train, report
"""
