"""The search space: written, checked, drawn, printed.

entry    one entry, and its distribution
python   Python values in a space
space    the whole of it
"""
