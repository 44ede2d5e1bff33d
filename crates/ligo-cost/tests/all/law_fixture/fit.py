"""Makes law.json: noisy losses of models from scratch and of grown ones, and what scipy fits to them.

    pip install scipy && python fit.py > law.json    (the version that made it stands in the file)

The form is that of `ligo_cost::law`: L = E + A / N^alpha + B / D^beta, and for a grown model D + g * D_eq in place of D, where D_eq are the tokens with which the
large model from scratch has the small one's loss. Huber's loss of the residuals of ln L with delta = 1e-3.
"""

import json
import sys

import numpy as np
import scipy
from scipy.optimize import least_squares

E, A, ALPHA, B, BETA = 1.6, 90.0, 0.31, 260.0, 0.29
GAINS = {"stackbert": 0.8, "one-schedule": 0.65}
SIZES = [2e5, 6e5, 2e6]
TOKENS = [2e6, 4e6, 8e6, 2e7]

random = np.random.default_rng(7)


def scratch(p, n, d):
    return p[0] + p[1] / n ** p[2] + p[3] / d ** p[4]


def grown(p, gain, n, d, small_n, small_d):
    equal = small_d ** -p[4] + p[1] / p[3] * (small_n ** -p[2] - n ** -p[2])
    return scratch(p, n, d + gain * equal ** (-1 / p[4]))


true = [E, A, ALPHA, B, BETA]
points = []
for n in SIZES:
    for d in TOKENS:
        points.append({"parameters": n, "tokens": d, "loss": scratch(true, n, d)})
for method, gain in GAINS.items():
    for small, large in [(2e5, 6e5), (6e5, 2e6)]:
        for small_d, d in [(2e6, 2e6), (4e6, 4e6), (8e6, 4e6)]:
            loss = grown(true, gain, large, d, small, small_d)
            points.append(
                {"parameters": large, "tokens": d, "loss": loss, "method": method, "small_parameters": small, "small_tokens": small_d}
            )
for point in points:
    point["loss"] = float(point["loss"] * np.exp(0.001 * random.standard_normal()))
# Two runs that went wrong.
points[5]["loss"] *= 1.05
points[17]["loss"] *= 0.97


def residuals(x):
    p = np.exp(x[:5])
    gains = dict(zip(GAINS, x[5:]))
    found = []
    for point in points:
        if "method" in point:
            loss = grown(p, gains[point["method"]], point["parameters"], point["tokens"], point["small_parameters"], point["small_tokens"])
        else:
            loss = scratch(p, point["parameters"], point["tokens"])
        found.append(np.log(loss) - np.log(point["loss"]))
    return np.array(found)


start = np.concatenate([np.log(true), list(GAINS.values())])
fit = least_squares(residuals, start, loss="huber", f_scale=1e-3, xtol=1e-15, ftol=1e-15, gtol=1e-15, x_scale="jac", max_nfev=20000)
json.dump(
    {
        "scipy": scipy.__version__,
        "points": points,
        "law": np.exp(fit.x[:5]).tolist(),
        "gains": dict(zip(GAINS, fit.x[5:].tolist())),
        "huber": float(fit.cost),
    },
    sys.stdout,
    indent=1,
)
print()
