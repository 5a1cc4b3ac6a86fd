"""Recurrences, as index text: what each element is, for any number of steps."""

import torch

from examples.gallery.layer import Layer, Mistake

LAYERS = (
    Layer(
        "linear scan",
        "A gated sum, h[t] = a[t]·h[t−1] + x[t].",
        "Martin and Cundy 2018, arXiv 1709.04057; the core of state space models and linear RNNs.",
        "h[t,c] := x[t,c] + [t >= 1]*a[t,c]*h[t-1,c]",
        """dh[t,c] := grad_output[t,c] + [t <= T - 2]*a[t+1,c]*dh[t+1,c]
x_bar[t,c] := dh[t,c]
a_bar[t,c] := [t >= 1]*dh[t,c]*h[t-1,c]""",
        {"a": "T C", "x": "T C"},
        (
            Mistake(
                "this step's gate",
                "[t <= T - 2]*a[t+1,c]*dh[t+1,c]",
                "[t <= T - 2]*a[t,c]*dh[t+1,c]",
                "The loop runs back, and the gate between t and t + 1 bears the later number.",
            ),
            Mistake(
                "the state after the step",
                "[t >= 1]*dh[t,c]*h[t-1,c]",
                "[t >= 1]*dh[t,c]*h[t,c]",
                "The gate multiplies the state before the step; the buffer holds the one after it.",
            ),
        ),
    ),
    Layer(
        "decayed sum",
        "A sum with one decay, S[k] = d·S[k−1] + x[k]; its backward written with powers, without a loop.",
        "The exponential moving average, not normalised.",
        "S[k] := x[k] + [k >= 1]*d*S[k-1]",
        "x_bar[k] := sum(j: [j >= k]*d^(j - k)*grad_output[j])",
        {"x": "K", "d": ""},
        (
            Mistake(
                "one power more",
                "d^(j - k)",
                "d^(j - k + 1)",
                "The element's own step has no decay.",
            ),
            Mistake("without its own", "[j >= k]", "[j > k]", "An exclusive sum where an inclusive one is meant."),
        ),
        wrt=("x",),
    ),
    Layer(
        "cumulative sum",
        "Sums of all elements up to each; the backward as total less what came before.",
        "`torch.cumsum`.",
        "y[n < N] := sum(m: [m <= n]*x[m])",
        "x_bar[m < N] := sum(n: grad_output[n]) - sum(n: [n < m]*grad_output[n])",
        {"x": "N"},
        (
            Mistake("its own subtracted", "[n < m]", "[n <= m]", "The sum is inclusive: the element's own gradient stays."),
            Mistake(
                "the same direction",
                "sum(n: grad_output[n]) - sum(n: [n < m]*grad_output[n])",
                "sum(n: [n <= m]*grad_output[n])",
                "The backward of a cumulative sum runs from the end.",
            ),
        ),
    ),
    Layer(
        "alpha compositing",
        "Colours front to back, each covered by the opacities before it; the backward goes back to front.",
        "Porter and Duff 1984; the loop of Kerbl et al. 2023, arXiv 2308.04079.",
        """T[k] := [k == 0] + [k >= 1]*T[k-1]*(1 - a[k-1])
C := sum(k: T[k]*a[k]*c[k])""",
        """R[k] := [k <= K - 2]*(a[k+1]*c[k+1] + (1 - a[k+1])*R[k+1])
a_bar[k] := grad_output*T[k]*(c[k] - R[k])
c_bar[k] := grad_output*T[k]*a[k]""",
        {"a": "K", "c": "K"},
        (
            Mistake(
                "the colour behind added",
                "c[k] - R[k]",
                "c[k] + R[k]",
                "Opacity shows a colour, and hides what is behind.",
            ),
            Mistake("opacity for transparency", "(1 - a[k+1])*R", "a[k+1]*R", "a and 1 − a change places in one line."),
        ),
        data={"a": torch.sigmoid},
    ),
    Layer(
        "wkv",
        "RWKV's attention without queries: a weighted mean of values whose weights decay, with a bonus for the present.",
        "Peng et al. 2023, arXiv 2305.13048, equation 16; the backward runs the two sums from the end.",
        """a[t,c] := exp(k[t,c])*v[t,c] + [t >= 1]*exp(-w[c])*a[t-1,c]
b[t,c] := exp(k[t,c]) + [t >= 1]*exp(-w[c])*b[t-1,c]
d[t,c] := exp(u[c] + k[t,c]) + [t >= 1]*b[t-1,c]
y[t,c] := (exp(u[c] + k[t,c])*v[t,c] + [t >= 1]*a[t-1,c])/d[t,c]""",
        """g[t,c] := grad_output[t,c]/d[t,c]
da[t,c] := [t <= T - 2]*(g[t+1,c] + exp(-w[c])*da[t+1,c])
db[t,c] := [t <= T - 2]*(exp(-w[c])*db[t+1,c] - g[t+1,c]*y[t+1,c])
v_bar[t,c] := exp(k[t,c])*da[t,c] + exp(u[c] + k[t,c])*g[t,c]
k_bar[t,c] := exp(k[t,c])*(da[t,c]*v[t,c] + db[t,c]) + exp(u[c] + k[t,c])*g[t,c]*(v[t,c] - y[t,c])
u_bar[c] := sum(t: exp(u[c] + k[t,c])*g[t,c]*(v[t,c] - y[t,c]))
w_bar[c] := -sum(t: [t >= 1]*exp(-w[c])*(da[t,c]*a[t-1,c] + db[t,c]*b[t-1,c]))""",
        {"k": "T C", "v": "T C", "w": "C", "u": "C"},
        (
            Mistake(
                "the bonus without the mean",
                "u_bar[c] := sum(t: exp(u[c] + k[t,c])*g[t,c]*(v[t,c] - y[t,c]))",
                "u_bar[c] := sum(t: exp(u[c] + k[t,c])*g[t,c]*v[t,c])",
                "The bonus is in the denominator, too.",
            ),
            Mistake(
                "the decay not chained",
                "w_bar[c] := -sum(t: [t >= 1]*exp(-w[c])*(",
                "w_bar[c] := sum(t: [t >= 1]*(",
                "The kernel is given exp(−w), and its gradient is returned as that of w.",
            ),
        ),
        sizes={"T": 4},
    ),
    Layer(
        "gated delta rule",
        "A memory of key and value that is decayed, corrected along the new key, and read with a query.",
        "Yang, Kautz and Hatamizadeh 2024, arXiv 2412.06464, equation 10.",
        """S[t,i,j] := b[t]*v[t,i]*k[t,j] + [t >= 1]*a[t]*(S[t-1,i,j] - b[t]*k[t,j]*sum(m: S[t-1,i,m]*k[t,m]))
y[t,i] := sum(j: S[t,i,j]*q[t,j])""",
        """e[t,i] := sum(m: dS[t,i,m]*k[t,m])
dS[t,i,j] := grad_output[t,i]*q[t,j] + [t <= T - 2]*a[t+1]*(dS[t+1,i,j] - b[t+1]*k[t+1,j]*e[t+1,i])
r[t,i] := [t >= 1]*a[t]*sum(m: S[t-1,i,m]*k[t,m])
q_bar[t,j] := sum(i: grad_output[t,i]*S[t,i,j])
v_bar[t,i] := b[t]*e[t,i]
b_bar[t] := sum(i: e[t,i]*(v[t,i] - r[t,i]))
a_bar[t] := [t >= 1]*sum(i, j: (dS[t,i,j] - b[t]*e[t,i]*k[t,j])*S[t-1,i,j])
k_bar[t,j] := b[t]*(sum(i: dS[t,i,j]*(v[t,i] - r[t,i])) - [t >= 1]*a[t]*sum(i: e[t,i]*S[t-1,i,j]))""",
        {"q": "T J", "k": "T J", "v": "T I", "a": "T", "b": "T"},
        (
            Mistake(
                "the old memory's key forgotten",
                " - [t >= 1]*a[t]*sum(i: e[t,i]*S[t-1,i,j])",
                "",
                "The key writes the memory, and reads it first.",
            ),
            Mistake(
                "this step's gate",
                "[t <= T - 2]*a[t+1]*(dS",
                "[t <= T - 2]*a[t]*(dS",
                "The gate between t and t + 1 bears the later number.",
            ),
        ),
        sizes={"T": 4},
    ),
    Layer(
        "crf",
        "The negative log-likelihood of a path of labels in a linear chain: the sum over all paths by the forward algorithm.",
        "Lafferty, McCallum and Pereira 2001; the gradient is the marginals of forward and backward less the path.",
        """A[t,k] := u[t,k] + [t >= 1]*log(sum(j: exp(A[t-1,j] + w[j,k])))
Z := log(sum(k: exp(A[T-1,k])))
L := Z - sum(t: u[t,y[t]]) - sum(t < T - 1: w[y[t],y[t+1]])""",
        """B[t,k] := [t <= T - 2]*log(sum(j: exp(w[k,j] + u[t+1,j] + B[t+1,j])))
u_bar[t,k] := grad_output*(exp(A[t,k] + B[t,k] - Z) - [k == y[t]])
w_bar[j,k] := grad_output*sum(t < T - 1: exp(A[t,j] + w[j,k] + u[t+1,k] + B[t+1,k] - Z) - [j == y[t]]*[k == y[t+1]])""",
        {"u": "T K", "w": "K K", "y": "int<K: T>"},
        (
            Mistake(
                "the pair without its emission",
                "exp(A[t,j] + w[j,k] + u[t+1,k] + B[t+1,k] - Z)",
                "exp(A[t,j] + w[j,k] + B[t+1,k] - Z)",
                "Forward holds the emission of its own step, backward does not.",
            ),
            Mistake(
                "the emission twice",
                "exp(A[t,k] + B[t,k] - Z)",
                "exp(A[t,k] + u[t,k] + B[t,k] - Z)",
                "In other codes backward, too, holds its own emission, and it is taken off; here it is put on.",
            ),
        ),
        sizes={"T": 4, "K": 3},
    ),
)
