"""Benchmarks: open loop, figures beside a limit measured in the same run, and the load that tests drive with."""
