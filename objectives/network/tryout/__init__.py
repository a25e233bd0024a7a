"""What the first batches of a network show before slots are planned.

firstbatches   the same in another process
notedparams    which params were read
scaledtwice    pixels scaled twice
sharedstate    state shared by two networks
tryout         all checks in order
unread         params that nothing reads
"""
