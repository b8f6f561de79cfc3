"""The simulator: the real roles and the real store in one process, on a virtual clock, with crashes at every point."""
