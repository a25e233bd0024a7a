"""Check a network in its first batches, before slots are planned.

firstbatches   tries out the default network in another process
scaledtwice    detects pixels that are scaled twice
sharedstate    detects state shared by two networks
tryout         all checks of a user's network, in order
unread         detects params that no code reads
"""
