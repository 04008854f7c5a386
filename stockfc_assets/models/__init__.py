"""The network, its training and its export: the only room that imports torch."""

import os

# Read by torch's OpenMP library when it loads. Its threads otherwise spin while they wait for each other: with anything
# else running on the two cores (Dagster's own daemon, say) training drops from 330 samples a second to 4. Measured on two
# cores: 311 alone and 328 beside a busy process when passive, 46 and 4 when active.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
