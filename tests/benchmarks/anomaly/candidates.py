"""Detectors of one stream that were tried: each gives a score a value, the greater the rarer.

Those that give a distance say its rarity by `streams.anomaly.tail`, as the parts of ours do, so that one threshold can
serve all streams.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import numpy as np
from river import anomaly, linear_model, optim, preprocessing, time_series

from streams.anomaly import UnivariateDetector, univariate
from streams.anomaly.nearest import Shapes
from streams.anomaly.tail import Tail

Scores = list[float]
Candidate = Callable[[Sequence[datetime], Sequence[float]], Scores]


def rarities(distances: Iterable[float]) -> Scores:
    tail = Tail()
    return [tail.surprise(distance) for distance in distances]


def standard(values: Sequence[float]) -> Scores:
    """Values in standard deviations from the mean, both of about the last thousand."""
    mean, variance, out = values[0], 0.0, []
    for count, value in enumerate(values, 1):
        weight, away = max(1 / count, 0.001), value - mean
        mean += away * weight
        variance += (away * (value - mean) - variance) * weight
        out.append(max(-20.0, min(20.0, (value - mean) / (variance**0.5 or 1e-12))))
    return out


def said_once(scores: Iterable[float]) -> Scores:
    """What our detector does with its rarities, after any other."""
    detector = UnivariateDetector()
    return [detector._fresh(score) for score in scores]


def gaussian(times: Sequence[datetime], values: Sequence[float], window: int = 6400, every: int = 150) -> Scores:
    """The windowed Gaussian: the tail probability of a value by mean and deviation of the last `window`."""
    series, out, mean, deviation = np.array(values), [], 0.0, 1.0
    for n, value in enumerate(values):
        if n % every == 0 or n < 50:
            part = series[max(0, n - window) : n + 1]
            mean, deviation = float(part.mean()), float(part.std()) + 1e-6
        z = abs(value - mean) / deviation
        out.append(-math.log10(max(math.erfc(z / math.sqrt(2)), 1e-300)))
    return out


def entropy(times: Sequence[datetime], values: Sequence[float], window: int = 52, bins: int = 5) -> Scores:
    """Relative entropy (Wang et al. 2011): how the last values' histogram differs from all before."""
    usual, last, distances = np.full(bins, 1 / bins), deque([0] * window, window), []
    low, high = values[0], values[0]
    for value in values:
        low, high = min(low, value), max(high, value)
        place = min(bins - 1, int(bins * (value - low) / (high - low or 1.0)))
        last.append(place)
        share = np.bincount(last, minlength=bins) / window + 1e-6
        distances.append(float((share * np.log(share / usual)).sum()))
        usual += (share - usual) * 0.001
    return rarities(max(0.0, distance) for distance in distances)


def shapes(times: Sequence[datetime], values: Sequence[float]) -> Scores:
    """Nearest shapes alone (KNN-CAD: Burnaev and Ishimtsev 2016, without its whitening)."""
    kept = Shapes()
    return rarities(kept.distance(z) for z in standard(values))


def context(times: Sequence[datetime], values: Sequence[float], length: int = 8, kept: int = 300, k: int = 5) -> Scores:
    """Contextual: the distance to what followed the k most similar contexts."""
    known, next_, recent, distances = np.zeros((length, kept)), np.zeros(kept), np.zeros(length), []
    for n, z in enumerate(standard(values)):
        if n > 4 * k:
            squares = ((known[:, :n] - recent[:, None]) ** 2).sum(0)
            distances.append(abs(z - float(next_[np.argpartition(squares, k)[:k]].mean())))
        else:
            distances.append(0.0)
        known[:, n % kept], next_[n % kept] = recent, z
        recent[:-1], recent[-1] = recent[1:].copy(), z
    return rarities(distances)


def expose(times: Sequence[datetime], values: Sequence[float], features: int = 64) -> Scores:
    """EXPoSE (Schneider et al. 2016): one less the likeness to the mean embedding, by random Fourier features."""
    rng = np.random.default_rng(1)
    rates, phases = rng.normal(0, 2, features), rng.uniform(0, 2 * np.pi, features)
    mean, distances = np.zeros(features), []
    for n, z in enumerate(standard(values), 1):
        one = np.cos(rates * z + phases) * math.sqrt(2 / features)
        distances.append(max(0.0, 1 - float((one * mean).sum())))
        mean += (one - mean) * max(1 / n, 0.001)
    return rarities(distances)


def spectral(times: Sequence[datetime], values: Sequence[float], window: int = 40) -> Scores:
    """Spectral residual (Ren et al. 2019): how the last value sticks out of the window's saliency."""
    series, distances = np.array(standard(values)), []
    for n in range(len(values)):
        if n < window:
            distances.append(0.0)
            continue
        spectrum = np.fft.rfft(series[n + 1 - window : n + 1])
        logs = np.log(np.abs(spectrum) + 1e-3)
        flat = np.exp(logs - np.convolve(logs, np.ones(3) / 3, "same")) * np.exp(1j * np.angle(spectrum))
        saliency = np.abs(np.fft.irfft(flat, window))
        distances.append(float(saliency[-1] / saliency.mean()))
    return rarities(distances)


def half_space_trees(times: Sequence[datetime], values: Sequence[float]) -> Scores:
    """River's HalfSpaceTrees behind its MinMaxScaler."""
    model, out = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=1), []
    for value in values:
        out.append(float(model.score_one({"value": value})))
        model.learn_one({"value": value})
    return out


def snarimax(times: Sequence[datetime], values: Sequence[float]) -> Scores:
    """The residual of River's SNARIMAX with four lags."""
    scaled = preprocessing.StandardScaler() | linear_model.LinearRegression(optimizer=optim.SGD(0.01))
    model, distances = time_series.SNARIMAX(4, 0, 0, regressor=scaled), []
    for n, z in enumerate(standard(values)):
        distances.append(min(40.0, abs(z - model.forecast(horizon=1)[0])) if n > 8 else 0.0)
        model.learn_one(z)
    return rarities(distances)


def ours(times: Sequence[datetime], values: Sequence[float]) -> Scores:
    return [univariate.DIGITS * score for score in UnivariateDetector().scores(times, values)]


ALONE: dict[str, Candidate] = {
    "windowed Gaussian": gaussian,
    "relative entropy": entropy,
    "nearest shapes": shapes,
    "nearest contexts": context,
    "EXPoSE": expose,
    "spectral residual": spectral,
    "HalfSpaceTrees": half_space_trees,
    "SNARIMAX": snarimax,
}
