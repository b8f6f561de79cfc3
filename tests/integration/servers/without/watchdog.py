"""Flask's reloader would watch the whole interpreter with it, and lose changes on a busy machine; without it polls."""

raise ImportError(__doc__)
