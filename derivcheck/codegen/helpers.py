"""Small functions that stand at the end of a generated file, each only where it is used."""

from __future__ import annotations

HELPERS = {
    "_window": '''
def _window(x, dim, start, length, step=1):
    """x[start + step*i] for i < length along dim; 0 where that is outside of x."""
    size, stride = x.shape[dim], abs(step)
    back = start if step > 0 else size - 1 - start  # how far start is from the end that it moves away from
    low = min(max(0, -(back // stride)), max(length, 0))
    high = max(low, min(length, (size - 1 - back) // stride + 1))
    if low == high:
        return x.new_zeros((*x.shape[:dim], max(length, 0), *x.shape[dim + 1 :]))
    ends = start + step * low, start + step * (high - 1)
    inner = x.narrow(dim, min(ends), max(ends) - min(ends) + 1)
    if stride > 1:
        inner = inner[(slice(None),) * dim + (slice(None, None, stride),)]
    if step < 0:
        inner = inner.flip(dim)
    if (low, high) != (0, length):
        inner = torch.nn.functional.pad(inner, (0, 0) * (x.dim() - dim - 1) + (low, length - high))
    return inner
''',
    "_divide": '''
def _divide(a, b):
    """a / b as a tensor divides: a zero divisor gives inf or nan."""
    if b:
        return a / b
    return math.copysign(math.inf, a) if a else math.nan
''',
    "_shape_error": '''
def _shape_error(sizes, **tensors):
    """Names the first input whose shape does not fit; the sizes found so far are said."""
    for name, (tensor, dims) in tensors.items():
        wanted = [d.strip() for d in dims.split(",") if d.strip()]
        shape = tuple(tensor.shape)
        if len(wanted) != len(shape):
            return ValueError(f"{name} has shape {shape}; expected {len(wanted)} dimensions, ({dims})")
        for k, dim in enumerate(wanted):
            if dim.isdigit():
                sizes[dim] = int(dim)
            elif dim.isidentifier():
                sizes.setdefault(dim, shape[k])
            expected = sizes.get(dim)
            if expected is not None and expected != shape[k]:
                return ValueError(f"{name} has shape {shape}; expected ({dims}), where {dim} = {expected}")
    shapes = ", ".join(f"{name} {tuple(tensor.shape)} for ({dims})" for name, (tensor, dims) in tensors.items())
    return ValueError(f"the shapes do not fit together: {shapes}")
''',
}
