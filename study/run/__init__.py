"""Create a study, and run its workers on this machine.

create       creates a study or resumes it
launchers    start worker processes; a handle on each
plan         what a limited time buys: draws, and the effort of the finalize
prewarm      starts processes that load the framework early, then become workers
run          runs supervisor, live view and signals together
supervisor   starts workers, and restarts those that die
tryout       tests a new study's objective on a few batches
"""
