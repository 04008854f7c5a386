"""The network, its training and its export: the only room that imports torch."""

import os

# GNU OpenMP's threads spin while they wait for each other, and an LSTM makes them wait at each of its 156 steps. Beside
# another busy process that fell to 16 samples/s where threads that sleep reach 230. It is read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
