"""K steps of stochastic gradient descent of one multi-layer perceptron, compiled by numba: what `FusedSteps` calls.

A network's weights, minibatch and activations (20 to 600 kB) stay in one core's cache for all K steps, nothing is
allocated between them, and every product is a plain BLAS call. The equations, for a minibatch of B inputs and layers
l = 1 … L, where W_l is `[in, out]`, H_0 are the inputs, and σ is the identity in the output layer:

    forward     Z_l = H_{l−1} W_l + 1 b_lᵀ       H_l = σ(Z_l)          S_l = σ'(Z_l)         [B, nodes of layer l]
    error       E_L = ∂J/∂Z_L                    E_{l−1} = (E_l W_lᵀ) ∘ S_{l−1}
    gradient    G_l = ∂J/∂W_l = H_{l−1}ᵀ E_l     ∂J/∂b_l = E_lᵀ 1
    momentum    V ← μ V + (1 − τ) (G + λ W)      W ← W − η V, or W − η (G + λ W + μ V) with Nesterov
    without     W ← (1 − η λ) W − η G
    unit norm   every hidden node's (w, b) is divided by its norm, where asked for

as `torch.optim.SGD` has it: η learning rate, μ momentum, τ dampening, λ weight decay. Compiled code may take sums in
any order. Infinite and undefined numbers stay what they are, so that a run that diverges is found out.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, types

LEAKY_RELU = 0  # activations
SQUARED, MOST_LIKELY, SOFT = 0, 1, 2  # objectives

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
    """What the steps do, as numbers.

    Attributes:
        activation: `LEAKY_RELU`.
        slope: Its slope below zero.
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
    momentum: float
    dampening: float
    weight_decay: float
    nesterov: bool
    unit_norm: bool
    bias: bool


@compiled
def activate(settings, pre, post, derivative):
    """σ and σ' of the pre-activations, all `[B, nodes]`. Another activation is another branch here."""
    one, slope = pre.dtype.type(1), pre.dtype.type(settings.slope)
    if settings.activation == LEAKY_RELU:
        for b in range(pre.shape[0]):
            for j in range(pre.shape[1]):
                derivative[b, j] = one if pre[b, j] > 0 else slope
                post[b, j] = pre[b, j] * derivative[b, j]


@compiled
def objective(settings, outputs, targets, rows, error):
    """J, and its derivative by the outputs `[B, c]` in `error`; the target of output b is row rows[b] of `targets`."""
    batch, c = outputs.shape
    total = 0.0
    if settings.objective == SQUARED:
        scale = outputs.dtype.type(settings.scale)
        for b in range(batch):
            for j in range(c):
                difference = outputs[b, j] - targets[rows[b], j]
                error[b, j] = scale * difference
                total += difference * difference
        return 0.5 * settings.scale * total
    T, soft = settings.temperature, settings.objective == SOFT
    p, q = np.zeros(c), np.zeros(c)
    for b in range(batch):
        target = targets[rows[b]]
        total += T * T * softmax(outputs[b], T, q)
        if soft:
            total -= T * T * softmax(target, T, p)
        else:
            one_hot(target, p)
        for j in range(c):
            total += T * p[j] * ((target[j] if soft else 0) - outputs[b, j])
            error[b, j] = settings.scale * T * (q[j] - p[j])
    return settings.scale * total


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
    """Give probability 1 to the first of the largest logits."""
    highest = 0
    for j in range(len(logits)):
        probabilities[j] = 0
        if logits[j] > logits[highest]:
            highest = j
    probabilities[highest] = 1


@compiled
def product(alpha, A, transpose_A, B, transpose_B, beta, C, factors):
    """C ← α A B + β C, with Aᵀ or Bᵀ if so set; BLAS sees every matrix transposed. `factors` is room for α and β."""
    factors[0], factors[1] = alpha, beta
    kind = 100 if C.itemsize == 8 else 115  # "d" and "s"
    _gemm(
        kind, 116 if transpose_B else 110, 116 if transpose_A else 110,  # "t" and "n"
        C.shape[1], C.shape[0], A.shape[0] if transpose_A else A.shape[1],
        factors.ctypes, B.ctypes, B.shape[1], A.ctypes, A.shape[1], factors[1:].ctypes, C.ctypes, C.shape[1],
    )  # fmt: skip


@compiled
def repeat_row(b, Z):
    """Z ← 1 bᵀ."""
    for i in range(Z.shape[0]):
        for j in range(Z.shape[1]):
            Z[i, j] = b[j]


@compiled
def column_sums(E, g):
    """The bias's gradient, g ← Eᵀ 1."""
    for j in range(E.shape[1]):
        g[j] = 0
    for i in range(E.shape[0]):
        for j in range(E.shape[1]):
            g[j] += E[i, j]


@compiled
def descend(settings, rate, begun, W, G, V):
    """A step of SGD with momentum, entry by entry; without a step before, V becomes G + λ W."""
    number = W.dtype.type
    eta, mu, decay = number(rate), number(settings.momentum), number(settings.weight_decay)
    keep, take = (mu, number(1 - settings.dampening)) if begun else (number(0), number(1))
    for i in range(len(W)):
        gradient = G[i] + decay * W[i]
        V[i] = keep * V[i] + take * gradient
        W[i] -= eta * (gradient + mu * V[i] if settings.nesterov else V[i])


@compiled
def unit_rows(W, b):
    """Divide every node's weights, a column of W `[in, out]`, and bias by their common norm."""
    for j in range(W.shape[1]):
        total = b[j] * b[j]
        for i in range(W.shape[0]):
            total += W[i, j] * W[i, j]
        norm = max(np.sqrt(total), np.finfo(W.dtype).tiny)
        b[j] /= norm
        for i in range(W.shape[0]):
            W[i, j] /= norm


@compiled
def matrix(flat, start, rows, columns):
    """A piece of a vector, as a matrix."""
    return flat[start : start + rows * columns].reshape(rows, columns)


@compiled
def take_steps(settings, widths, trained, rate, begun, inputs, targets, index, W, b, V, v, G, g, losses):
    """K steps of one network, in place.

    Args:
        settings: See `Settings`.
        widths: Input dimension, nodes of each hidden layer, and outputs c.
        trained: Whether each layer is trained.
        rate: Learning rate η.
        begun: Whether V and v hold the momentum of earlier steps.
        inputs: `[N, d]`.
        targets: `[N, c]`.
        index: Which inputs each minibatch takes, `[K, B]`.
        W: All layers' weights `[in, out]`, one after the other.
        b: All layers' biases.
        V: Momentum of W.
        v: Momentum of b.
        G: Room for ∂J/∂W; in the end it is that of the last step.
        g: The same for b.
        losses: J before each step, `[K]`.
    """
    steps, batch = index.shape
    layers = len(widths) - 1
    number = W.dtype.type
    one, zero = number(1), number(0)
    total, widest = 0, 0
    for width in widths:
        total, widest = total + width, max(widest, width)
    H, S = np.empty(batch * total, W.dtype), np.empty(batch * total, W.dtype)
    E, E_below = np.empty(batch * widest, W.dtype), np.empty(batch * widest, W.dtype)
    factors = np.empty(2, W.dtype)
    for k in range(steps):
        rows = index[k]
        for i in range(batch):
            for j in range(widths[0]):
                H[i * widths[0] + j] = inputs[rows[i], j]
        h, w, o = 0, 0, 0  # where the layer's inputs, weights and outputs start
        for layer in range(layers):
            n, m = widths[layer], widths[layer + 1]
            H_l, Z = matrix(H, h, batch, n), matrix(H, h + batch * n, batch, m)
            repeat_row(b[o:], Z)
            product(one, H_l, False, matrix(W, w, n, m), False, one, Z, factors)
            h, w, o = h + batch * n, w + n * m, o + m
            if layer < layers - 1:
                activate(settings, Z, Z, matrix(S, h, batch, m))
        losses[k] = objective(settings, matrix(H, h, batch, m), targets, rows, matrix(E, 0, batch, m))
        for layer in range(layers - 1, -1, -1):
            n, m = widths[layer], widths[layer + 1]
            h, w, o = h - batch * n, w - n * m, o - m
            H_l, E_l, W_l, G_l = matrix(H, h, batch, n), matrix(E, 0, batch, m), matrix(W, w, n, m), matrix(G, w, n, m)
            b_l, g_l = b[o : o + m], g[o : o + m]
            if layer > 0:
                product(one, E_l, False, W_l, True, zero, matrix(E_below, 0, batch, n), factors)
                for i in range(batch * n):
                    E_below[i] *= S[h + i]
            if trained[layer]:
                column_sums(E_l, g_l)
                if settings.momentum != 0:
                    product(one, H_l, True, E_l, False, zero, G_l, factors)
                    descend(settings, rate, begun or k > 0, W[w : w + n * m], G[w : w + n * m], V[w : w + n * m])
                    if settings.bias:
                        descend(settings, rate, begun or k > 0, b_l, g_l, v[o : o + m])
                else:
                    if k == steps - 1:
                        product(one, H_l, True, E_l, False, zero, G_l, factors)
                    shrink = number(1 - rate * settings.weight_decay)
                    product(number(-rate), H_l, True, E_l, False, shrink, W_l, factors)
                    if settings.bias:
                        for j in range(m):
                            b_l[j] = shrink * b_l[j] - number(rate) * g_l[j]
                if settings.unit_norm and layer < layers - 1:
                    unit_rows(W_l, b_l)
            E, E_below = E_below, E
