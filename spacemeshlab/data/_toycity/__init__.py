"""What is behind :mod:`spacemeshlab.data.toycity`; read in this order.

``canvas``: camera, planes, polygons. ``light``: from polygons to a picture. ``things``, ``people``, ``vehicles``,
``houses``: what there is. ``street``, ``ground``, ``life``: where it stands. ``scene``: one scene, from an index.
"""
