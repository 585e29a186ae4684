"""K steps of stochastic gradient descent of one multi-layer perceptron, compiled by numba, called by `FusedSteps`.

A network's weights, minibatch and activations (20 to 600 kB) stay in one core's cache for all K steps, and nothing is
allocated between them. After the forward pass (`arithmetic`), for a minibatch of B inputs and layers l = L … 1:

    error       E_L = ∂J/∂Z_L                    E_{l−1} = (E_l W_lᵀ) ∘ S_{l−1}           [B, nodes of layer l]
    gradient    G_l = ∂J/∂W_l = H_{l−1}ᵀ E_l     ∂J/∂b_l = E_lᵀ 1
    momentum    V ← μ V + (1 − τ) (G + λ W)      W ← W − η V, or W − η (G + λ W + μ V) with Nesterov
    without     W ← (1 − η λ) W − η G
    unit norm   every hidden node's (w, b) is divided by its norm, if set

as in `torch.optim.SGD`: η learning rate, μ momentum, τ dampening, λ weight decay.
"""

import math

import numpy as np

from tsl.modules.compiled.arithmetic import back, compiled, forward, matrices, objective, product, room, vectors


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
        index: The indices of the inputs in each minibatch, `[K, B]`.
        W: All layers' weights `[in, out]`, one after the other.
        b: All layers' biases.
        V: Momentum of W.
        v: Momentum of b.
        G: Workspace for ∂J/∂W; at the end it is that of the last step.
        g: The same for b.
        losses: J before each step, `[K]`.
    """
    steps, batch = index.shape
    below, above, top = widths[:-1], widths[1:], len(widths) - 2
    W_of, V_of, G_of = matrices(W, below, above), matrices(V, below, above), matrices(G, below, above)
    b_of, v_of, g_of = vectors(b, above), vectors(v, above), vectors(g, above)
    H, S, E = room(batch, widths, W), room(batch, widths, W), room(batch, widths, W)
    factors = np.empty(2, W.dtype)
    for k in range(steps):
        take_rows(inputs, index[k], H[0])
        forward(settings, W_of, b_of, H, S, factors)
        losses[k] = objective(settings, H[-1], targets, index[k], E[-1])
        for layer in range(top, -1, -1):
            if layer > 0:
                back(E[layer + 1], W_of[layer], S[layer], E[layer], factors)
            if trained[layer]:
                update(
                    settings, rate, begun or k > 0, k == steps - 1, H[layer], E[layer + 1],
                    W_of[layer], V_of[layer], G_of[layer], b_of[layer], v_of[layer], g_of[layer], factors,
                )  # fmt: skip
                if settings.unit_norm and layer < top:
                    unit_columns(W_of[layer], b_of[layer])


@compiled
def take_rows(values, rows, taken):
    """Copy rows of a matrix by index."""
    for i in range(len(rows)):
        row, copy = values[rows[i]], taken[i]
        for j in range(len(copy)):
            copy[j] = row[j]


@compiled
def update(settings, rate, begun, last, H, E, W, V, G, b, v, g, factors):
    """One layer's step, from its inputs H and errors E; without momentum, G is filled only in the last step."""
    number = W.dtype.type
    column_sums(E, g)
    if settings.momentum != 0:
        product(number(1), H, True, E, False, number(0), G, factors)
        descend(settings, rate, begun, W.reshape(-1), G.reshape(-1), V.reshape(-1))
        if settings.bias:
            descend(settings, rate, begun, b, g, v)
        return
    if last:
        product(number(1), H, True, E, False, number(0), G, factors)
    shrink = number(1 - rate * settings.weight_decay)
    product(number(-rate), H, True, E, False, shrink, W, factors)
    if settings.bias:
        for j in range(len(b)):
            b[j] = shrink * b[j] - number(rate) * g[j]


@compiled
def column_sums(E, g):
    """The bias's gradient, g ← Eᵀ 1."""
    g[:] = 0
    for i in range(E.shape[0]):
        for j in range(E.shape[1]):
            g[j] += E[i, j]


@compiled
def descend(settings, rate, begun, W, G, V):
    """A step of SGD with momentum, entry by entry; in the first step, V becomes G + λ W."""
    number = W.dtype.type
    eta, mu, decay = number(rate), number(settings.momentum), number(settings.weight_decay)
    keep, take = (mu, number(1 - settings.dampening)) if begun else (number(0), number(1))
    for i in range(len(W)):
        gradient = G[i] + decay * W[i]
        V[i] = keep * V[i] + take * gradient
        W[i] -= eta * (gradient + mu * V[i] if settings.nesterov else V[i])


@compiled
def unit_columns(W, b):
    """Divide every node's weights, a column of W `[in, out]`, and bias by their common norm."""
    for j in range(W.shape[1]):
        total = b[j] * b[j]
        for i in range(W.shape[0]):
            total += W[i, j] * W[i, j]
        if total > 0:
            norm = math.sqrt(total)
            b[j] /= norm
            for i in range(W.shape[0]):
                W[i, j] /= norm
