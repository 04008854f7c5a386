"""The network, its training and its export: the only room that imports torch."""

import os

# GNU OpenMP's threads spin while they wait for each other, and an LSTM makes them wait at each of its 156 steps. Beside
# another busy process the default (to spin for milliseconds) fell from 540 samples/s to 30; this short spin gives 515
# alone and 160 beside an equal (two cores, benchmarks/training_bench.py). It is read once, when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
