"""What this machine has for a study, and which process may use it.

environment   machine, device and versions; how two of them differ
forks         what processes that an objective forks do not inherit
gpus          the GPUs that the driver lists
locks         locks on GPUs, shared by all users of the machine
pin           a worker takes the lock of its GPU
placing       how many workers run here, on which GPUs, with how much memory
process       name, age and end of a process
"""
