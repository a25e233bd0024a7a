"""What this machine has for a study, and who may use it.

environment   machine, device and versions; how two of them differ
forks         processes that an objective forks
gpus          the GPUs that the driver lists
locks         locks on GPUs, shared by all users of the machine
pin           a worker takes the lock of its GPU
placing       the options that say where workers run
process       name and age of a process
shares        how many workers, on which GPUs, with how much memory
"""
