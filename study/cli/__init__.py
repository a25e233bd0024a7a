"""The commands of `study`: each reads its options, calls another package, and prints.

app         the table of commands; failures become a line and an exit code
dashboard   dashboard
data        fetch, check, from-images, demo data
finish      finalize, report
look        read-only commands: status, watch, trials, logs, replay, list, check, score, space
opened      opens the study that the options name
run         run, create, worker, copy, add
steer       stop, pause, resume, retry, delete
"""
