"""The gated run: a gradient is checked at the run's own shapes before it takes a step."""
