"""Losses, and sums of node activations, of one multi-layer perceptron, called by `FusedEvaluation`.

Inputs are processed `BLOCK` at a time, so that a block's activations stay in one core's cache. For each block, after
the forward pass (`arithmetic`):

    error       E_L = f − f°                     E_{l−1} = (E_l W_lᵀ) ∘ S_{l−1}, down to g_1 = −E_1
    nodes       Σ s̃, Σ s̃², Σ t̃, Σ t̃²            T̃ᵀ S̃           [T > 0, 1]ᵀ [S > 0]

where s̃ = s − the mean of the first block, and t̃ likewise. The teacher's nodes t occur twice: with the inputs in
order, and in another order. Blocks are added in float64.
"""

import math
from typing import NamedTuple

import numpy as np

from tsl.modules.compiled.arithmetic import (
    SQUARED,
    back,
    compiled,
    differences,
    forward,
    matrices,
    objective,
    product,
    room,
    vectors,
)

BLOCK = 128
"""Inputs in a block."""


class Sums(NamedTuple):
    """Sums over inputs of the n student nodes and 2m teacher nodes; the second m have the inputs in another order.

    Attributes:
        shift_t: What is subtracted from the teacher's nodes, `[2m]`, in the activations' precision.
        shift_s: What is subtracted from the student's nodes, `[n]`.
        t: Σ t̃, `[2m]` float64.
        s: Σ s̃, `[n]`.
        tt: Σ t̃², `[2m]`.
        ss: Σ s̃², `[n]`.
        ts: Σ t̃ s̃, `[2m, n]`.
        active: Number of inputs on which both nodes are active; in the last row, on which the student's is:
            `[m + 1, n]`.
    """

    shift_t: np.ndarray
    shift_s: np.ndarray
    t: np.ndarray
    s: np.ndarray
    tt: np.ndarray
    ss: np.ndarray
    ts: np.ndarray
    active: np.ndarray


@compiled
def evaluate(settings, widths, W, b, inputs, targets, losses, nodes, pre, post, order, sums):
    """Fill `losses` with Σ J / scale, Σ ‖f − f°‖² and max |g_1| over the inputs; add to `sums` if `nodes` is set.

    Args:
        settings: See `Settings`.
        widths: Input dimension, nodes of each hidden layer, and outputs c.
        W: All layers' weights `[in, out]`, one after the other.
        b: All layers' biases.
        inputs: `[N, d]`.
        targets: f°, `[N, c]`.
        losses: `[3]` float64.
        nodes: Whether to add sums of the nodes, for a network with one hidden layer.
        pre: The teacher's pre-activations, `[N, m]`.
        post: The teacher's post-activations, `[N, m]`.
        order: The other order of the inputs, `[N]`.
        sums: See `Sums`.
    """
    W_of, b_of, top = matrices(W, widths[:-1], widths[1:]), vectors(b, widths[1:]), len(widths) - 2
    H, S, E = room(BLOCK, widths, W), room(BLOCK, widths, W), room(BLOCK, widths, W)
    largest, factors, rows = np.zeros(widths[1], W.dtype), np.empty(2, W.dtype), np.arange(BLOCK)
    losses[:] = 0
    for start in range(0, len(inputs), BLOCK):
        block = slice(start, min(start + BLOCK, len(inputs)))
        if block.stop - start < BLOCK:
            n = block.stop - start
            H, S, E = room(n, widths, W), room(n, widths, W), room(n, widths, W)
        H[0] = inputs[block]
        forward(settings, W_of, b_of, H, S, factors)
        if nodes:
            add_nodes(pre[block], post, order, start, H[1], sums)
        squares = 0.0
        if settings.objective != SQUARED:
            losses[0] += objective(settings, H[-1], targets[block], rows[: len(H[-1])], E[-1])
        for i in range(len(H[-1])):
            squares += differences(H[-1][i], targets[start + i], W.dtype.type(1), E[-1][i])
        losses[1] += squares
        for layer in range(top, 0, -1):
            back(E[layer + 1], W_of[layer], S[layer], E[layer], factors)
        raise_to_magnitudes(largest, E[1])
    if settings.objective == SQUARED:
        losses[0] = 0.5 * settings.scale * losses[1]
    losses[2] = math.nan if math.isnan(losses[1]) else largest.max()


@compiled
def raise_to_magnitudes(largest, E):
    """largest[j] ← max(largest[j], |E[i, j]|) over all i."""
    for i in range(E.shape[0]):
        for j in range(E.shape[1]):
            magnitude = abs(E[i, j])
            largest[j] = magnitude if magnitude > largest[j] else largest[j]


@compiled
def add_nodes(pre, post, order, start, S, sums):
    """Add the block of inputs from `start` on: the teacher's activations as in `evaluate`, the student's in S."""
    n, m = pre.shape
    number = S.dtype.type
    T, active_T = np.empty((n, 2 * m), S.dtype), np.ones((n, m + 1), np.float32)
    for i in range(n):
        for j in range(m):
            T[i, j], T[i, m + j] = post[start + i, j], post[order[start + i], j]
            active_T[i, j] = 1 if pre[i, j] > 0 else 0
    active_S = np.empty(S.shape, np.float32)
    for i in range(n):
        for j in range(S.shape[1]):
            active_S[i, j] = 1 if S[i, j] > 0 else 0
    if start == 0:
        set_means(T, sums.shift_t)
        set_means(S, sums.shift_s)
    centred_S = np.empty(S.shape, S.dtype)
    centre(T, sums.shift_t, sums.t, sums.tt, T)
    centre(S, sums.shift_s, sums.s, sums.ss, centred_S)
    ts, factors = np.empty(sums.ts.shape, S.dtype), np.empty(2, S.dtype)
    product(number(1), T, True, centred_S, False, number(0), ts, factors)
    add(sums.ts, ts)
    active, factors_32 = np.empty(sums.active.shape, np.float32), np.empty(2, np.float32)
    product(np.float32(1), active_T, True, active_S, False, np.float32(0), active, factors_32)
    add(sums.active, active)


@compiled
def set_means(values, means):
    """Fill `means` with the mean of every column."""
    total = np.zeros(len(means))
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            total[j] += values[i, j]
    for j in range(len(means)):
        means[j] = total[j] / values.shape[0]


@compiled
def centre(values, shift, total, squares, centred):
    """Subtract the shift from every row, and add up the columns and their squares; `centred` may be `values`."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            value = values[i, j] - shift[j]
            centred[i, j] = value
            total[j] += value
            squares[j] += value * value


@compiled
def add(total, part):
    """Add a matrix to another one in float64."""
    for i in range(part.shape[0]):
        for j in range(part.shape[1]):
            total[i, j] += part[i, j]
