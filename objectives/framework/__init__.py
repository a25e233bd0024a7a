"""Keras and its backend: which one, how it is loaded and set up.

backend      which framework Keras uses, and the GPUs that it can use
fitprocess   tells the process that called `fit` from its forks
runtime      import, threads, determinism, GPU memory
sentence     shortens errors of libraries to one line
"""
