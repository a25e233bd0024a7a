"""This machine's GPUs, cores and memory, and how worker processes share them.

environment   machine, device and versions; differences between two environments
forks         resources that processes forked by an objective do not inherit
gpus          the GPUs that the driver lists
identity      name, age and exit status of a worker process
locks         locks on GPUs, shared by all users of the machine
pin           assigns a GPU to a worker, by a lock
placing       how many workers run here, on which GPUs, with how much memory
"""
