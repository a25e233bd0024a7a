"""Creating a study, and running workers on this machine.

create       create a study or go on with it
launchers    where worker processes run, and a handle on each
prewarm      processes that load the framework early
run          supervisor, live view and signals together
supervisor   starts workers, and starts them again
tryout       one batch shows that the objective works
"""
