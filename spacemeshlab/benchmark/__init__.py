"""Speed and memory: the operation, the networks, growth, the score and the loading, measured side by side (chapter 18).

One module a part; each has ``run(bench)`` and returns plain values. ``scripts/benchmark.py`` is the command.
"""
