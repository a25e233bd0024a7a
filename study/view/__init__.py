"""What a study looks like on a terminal or as JSON.

columns   the table of workers at any width
console   where lines are printed, and how many
cost      what trials cost, and how long the rest will take
html      HTML built from escaped parts
keys      how one leaves the live view
listing   the studies of a storage
logs      the log of a trial
score     a submission against the answers
status    a study as numbers
watch     the live view
"""
