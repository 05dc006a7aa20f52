"""Why a network does no better than its baseline: the suspects one by one, a module each (chapter 15).

A bug :mod:`~spacemeshlab.diagnosis.crosscheck`; a bad start or dead parts :mod:`~spacemeshlab.diagnosis.signals`; the
pace of learning and the learning rate :mod:`~spacemeshlab.diagnosis.pace`; the size of the map
:mod:`~spacemeshlab.diagnosis.reach`. All of them together :mod:`~spacemeshlab.diagnosis.report`, and
``scripts/diagnose.py`` is the command. Nothing here changes a network.
"""
