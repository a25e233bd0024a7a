"""The commands: each reads its options, calls a room, and prints.

app         the table of commands; failures become a line and an exit code
dashboard   dashboard
data        fetch, check, from-images, demo data
finish      finalize, report
look        commands that only read
opened      opens a study, and reads the options that name it
run         run, create, worker, copy, add
steer       stop, pause, resume, retry, delete
"""
