"""Integer tensors inside positions: gather, scatter, bags of embeddings."""
