"""Show a study on a terminal or as JSON.

console   lines on stderr, and their verbosity
cost      the cost of trials, and the time left
html      HTML built from escaped parts
keys      keys that leave the live view
listing   the studies of a storage
logs      the log of a trial
score     a submission against the answers
status    a study as numbers
watch     the live view and the table of trials
"""
