"""SpaceMeshLab (Kim, Kim, Kim, arXiv 2106.04025) in PyTorch: the package behind the book."""
