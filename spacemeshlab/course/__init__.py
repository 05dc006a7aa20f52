"""Assignments that grade themselves: what a student gets, what comes back, and a fair score for it.

A submission runs in a process of its own that holds no test; the tests run here, on stand-ins for its functions.
"""
