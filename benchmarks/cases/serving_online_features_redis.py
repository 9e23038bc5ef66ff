"""What it costs a server to read the features that a request names the entities of, from Redis."""

import served_features

BENCHMARK = served_features.benchmark(redis=True)
