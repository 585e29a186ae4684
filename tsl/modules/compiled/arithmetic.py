"""What training and evaluation share: products, activations, objectives, and the forward pass through a network.

For B inputs and layers l = 1 … L, where W_l is `[in, out]`, H_0 are the inputs, and σ is the identity in the output
layer:

    Z_l = H_{l−1} W_l + 1 b_lᵀ       H_l = σ(Z_l)       S_l = σ'(Z_l)         all [B, nodes of layer l]

Every product is a plain BLAS call, everything else a loop. Sums may be taken in any order. Infinite and undefined
numbers are propagated, so that divergence is detected.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit, types

RELU, ERF, TANH, SIGMOID, QUADRATIC, LINEAR = range(6)  # activations
SQUARED, MOST_LIKELY, SOFT = range(3)  # objectives

compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
_pointer, _size = types.voidptr, types.intp
_gemm = types.ExternalFunction(  # the BLAS that SciPy brings, as numba's own np.dot calls it
    "numba_xxgemm",
    types.intc(
        types.char, types.char, types.char, _size, _size, _size,
        _pointer, _pointer, _size, _pointer, _size, _pointer, _pointer, _size,
    ),
)  # fmt: skip


class Settings(NamedTuple):
    """The settings of a computation, as numbers.

    Attributes:
        activation: σ, by its number above.
        slope: Slope of `RELU` below zero.
        objective: `SQUARED`: J = ½ scale Σ (f − f°)². `MOST_LIKELY`: cross-entropy of the target's largest entry.
            `SOFT`: T² · KL of the target's class probabilities at temperature T.
        scale: 1 / B, or 2 / (B · outputs) for a mean over outputs.
        temperature: T.
        momentum: μ.
        dampening: τ.
        weight_decay: λ.
        nesterov: Whether steps are Nesterov's.
        unit_norm: Whether hidden nodes are scaled to unit norm after every step.
        bias: Whether there are biases.
    """

    activation: int
    slope: float
    objective: int
    scale: float
    temperature: float
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    unit_norm: bool = False
    bias: bool = True


@compiled
def matrices(flat, rows, columns):
    """Consecutive pieces of a vector, as matrices `[rows[l], columns[l]]`."""
    pieces, start = [], 0
    for n, m in zip(rows, columns):  # noqa: B905 - numba knows no `strict`
        pieces.append(flat[start : start + n * m].reshape(n, m))
        start += n * m
    return pieces


@compiled
def vectors(flat, sizes):
    """Consecutive pieces of a vector."""
    pieces, start = [], 0
    for size in sizes:
        pieces.append(flat[start : start + size])
        start += size
    return pieces


@compiled
def room(batch, widths, like):
    """Uninitialized matrices `[B, width]` in the precision of `like`, as workspace."""
    return [np.empty((batch, width), like.dtype) for width in widths]


@compiled
def product(alpha, A, transpose_A, B, transpose_B, beta, C, factors):
    """C ← α A B + β C, with Aᵀ or Bᵀ if so set; for BLAS every matrix is transposed. `factors` stores α and β."""
    factors[0], factors[1] = alpha, beta
    kind = 100 if C.itemsize == 8 else 115  # "d" and "s"
    _gemm(
        kind, 116 if transpose_B else 110, 116 if transpose_A else 110,  # "t" and "n"
        C.shape[1], C.shape[0], A.shape[0] if transpose_A else A.shape[1],
        factors.ctypes, B.ctypes, B.shape[1], A.ctypes, A.shape[1], factors[1:].ctypes, C.ctypes, C.shape[1],
    )  # fmt: skip


@compiled
def forward(settings, W, b, H, S, factors):
    """Fill H_1 … H_L and S_1 … S_{L−1}, of the inputs H_0."""
    number = H[0].dtype.type
    top = len(W) - 1
    for layer in range(top + 1):
        Z = H[layer + 1]
        for i in range(Z.shape[0]):
            for j in range(Z.shape[1]):
                Z[i, j] = b[layer][j]
        product(number(1), H[layer], False, W[layer], False, number(1), Z, factors)
        if layer < top:
            activate(settings, Z, Z, S[layer + 1])


@compiled
def activate(settings, Z, H, S):
    """σ and σ' of pre-activations `[B, nodes]`; H may be Z."""
    number = Z.dtype.type
    one, slope = number(1), number(settings.slope)
    if settings.activation == RELU:
        for i in range(Z.shape[0]):
            for j in range(Z.shape[1]):
                S[i, j] = one if Z[i, j] > 0 else slope
                H[i, j] = Z[i, j] * S[i, j]
        return
    for i in range(Z.shape[0]):
        for j in range(Z.shape[1]):
            z = Z[i, j]
            if settings.activation == ERF:
                H[i, j], S[i, j] = math.erf(z * math.sqrt(0.5)), math.sqrt(2 / math.pi) * math.exp(-0.5 * z * z)
            elif settings.activation == TANH:
                H[i, j] = math.tanh(z)
                S[i, j] = 1 - H[i, j] ** 2
            elif settings.activation == SIGMOID:
                H[i, j] = 1 / (1 + math.exp(-z))
                S[i, j] = H[i, j] * (1 - H[i, j])
            elif settings.activation == QUADRATIC:
                H[i, j], S[i, j] = z * z, 2 * z
            else:
                H[i, j], S[i, j] = z, 1


@compiled
def objective(settings, outputs, targets, rows, error):
    """Return J, and fill `error` with ∂J/∂outputs `[B, c]`; the target of output i is row rows[i] of `targets`."""
    batch, c = outputs.shape
    total = 0.0
    if settings.objective == SQUARED:
        scale = outputs.dtype.type(settings.scale)
        for i in range(batch):
            total += differences(outputs[i], targets[rows[i]], scale, error[i])
        return 0.5 * settings.scale * total
    T, soft = settings.temperature, settings.objective == SOFT
    p, q = np.zeros(c), np.zeros(c)
    for i in range(batch):
        target = targets[rows[i]]
        total += T * T * softmax(outputs[i], T, q)
        if soft:
            total -= T * T * softmax(target, T, p)
        else:
            one_hot(target, p)
        for j in range(c):
            total += T * p[j] * ((target[j] if soft else 0) - outputs[i, j])
            error[i, j] = settings.scale * T * (q[j] - p[j])
    return settings.scale * total


@compiled
def differences(outputs, target, scale, error):
    """Fill `error` with scale (f − f°) of one input, and return ‖f − f°‖²."""
    total = outputs.dtype.type(0)
    for j in range(len(outputs)):
        difference = outputs[j] - target[j]
        error[j] = scale * difference
        total += difference * difference
    return total


@compiled
def softmax(logits, T, probabilities):
    """Fill `probabilities` with exp(logits / T) / Σ exp(logits / T), and return the logarithm of that sum."""
    highest = logits[0]
    for j in range(len(logits)):
        highest = max(highest, logits[j])
    total = 0.0
    for j in range(len(logits)):
        probabilities[j] = np.exp((logits[j] - highest) / T)
        total += probabilities[j]
    for j in range(len(logits)):
        probabilities[j] /= total
    return highest / T + np.log(total)


@compiled
def one_hot(logits, probabilities):
    """Fill `probabilities` with 1 for the first of the largest logits, and 0 for all others."""
    highest = 0
    for j in range(len(logits)):
        probabilities[j] = 0
        if logits[j] > logits[highest]:
            highest = j
    probabilities[highest] = 1


@compiled
def back(E, W, S, below, factors):
    """Back-propagate by one layer: below ← (E Wᵀ) ∘ S, the derivative by the pre-activations of the layer below."""
    number = E.dtype.type
    product(number(1), E, False, W, True, number(0), below, factors)
    for i in range(below.shape[0]):
        for j in range(below.shape[1]):
            below[i, j] *= S[i, j]
