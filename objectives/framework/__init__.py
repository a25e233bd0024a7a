"""Keras and its backend, loaded late and quietly.

backend      TensorFlow, JAX or PyTorch
fitprocess   the process that called `fit`
lateimport   modules that training never uses
probe        whether the framework sees the GPUs
runtime      threads, determinism, devices
sentence     errors of libraries as one line
"""
