"""Creating a study, and running workers on this machine.

child        one worker process of the supervisor
create       create a study or go on with it
crew         processes that load the framework early
run          supervisor, live view and signals together
supervisor   starts workers, and starts them again
tryout       one batch shows that the objective works
"""
