"""The search space: written, checked, drawn, printed.

entry    one entry of TOML or JSON, and its distribution
python   Python values that stand for an entry
space    all entries, and the conditions between them
"""
