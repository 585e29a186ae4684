"""Code compiled by numba: minibatch steps of gradient descent, and evaluations, of multi-layer perceptrons.

Importing any file of this package imports numba, which runs with autograd do not need.
"""
