"""The same elements at other positions: views, reshapes, parts, padding, joining; writes into parts; tensors made of sizes."""
