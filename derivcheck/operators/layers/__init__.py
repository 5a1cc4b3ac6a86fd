"""Layers as their definitions: convolutions, pooling, normalisations, attention, recurrent layers, images."""
