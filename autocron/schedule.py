class Schedule:
    def __init__(self, *a, tz=None, **k): pass
    def next_fire(self, after): return (after // 60 + 1) * 60
