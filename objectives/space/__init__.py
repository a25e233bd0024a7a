"""The search space: parse, check, draw, print.

entry    converts one entry to a distribution
python   converts Python values to the form of an entry
space    all entries, and the conditions between them
"""
