"""Checks of a network in its first batches, before slots are planned.

firstbatches   the first batches of the default network, in another process
scaledtwice    pixels scaled twice
sharedstate    state shared by two networks
tryout         all checks of a user's network, in order
unread         params that nothing reads
"""
