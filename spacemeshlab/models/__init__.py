"""The network and its parts. Only torch and torchvision here: no files, no plots, no prints."""
