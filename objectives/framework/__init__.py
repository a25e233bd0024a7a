"""Keras and its backend, loaded late and quietly.

backend      which framework Keras uses, and the GPUs that it can use
fitprocess   the process that called `fit`, told from its forks
runtime      imports, threads, determinism and GPU memory of this process
sentence     errors of libraries as one line
"""
