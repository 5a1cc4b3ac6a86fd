"""Small functions that stand at the end of a generated file, each only where it is used."""

from __future__ import annotations

HELPERS = {
    "_sinc_slope": '''
def _sinc_slope(x):
    """The slope of sin(pi*x)/(pi*x): by its series near 0, where cos(pi*x) - sinc(x) cancels."""
    u = (math.pi * x) ** 2
    series = 1 / 3 - u * (1 / 30 - u * (1 / 840 - u * (1 / 45360 - u * (1 / 3991680 - u / 518918400))))
    return torch.where(u < 0.1, -math.pi**2 * x * series, (torch.cos(math.pi * x) - torch.sinc(x)) / x)
''',
    "_log1mexp": '''
def _log1mexp(x):
    """log(1 - exp(x)) for x < 0: by whichever of expm1 and log1p keeps the digits; neither sees what the other takes."""
    half = -math.log(2)
    return torch.where(x > half, torch.log(-torch.expm1(x.clamp(min=half))), torch.log1p(-torch.exp(x.clamp(max=half))))
''',
    "_log_cosh": '''
def _log_cosh(x):
    """log(cosh(x)): log1p(2*sinh(x/2)**2) near 0, from the larger exponential elsewhere."""
    size = x.abs()
    near = torch.log1p(2 * torch.sinh(size.clamp(max=1) / 2) ** 2)
    return torch.where(size < 1, near, size + torch.log1p(torch.exp(-2 * size)) - math.log(2))
''',
    "_normal_share": '''
def _normal_share(x):
    """(1 + erf(x/sqrt(2)))/2: on a processor by the kernel of x times that, which is several times as fast as that of erf."""
    if x.is_cpu and x.dtype in (torch.float32, torch.float64) and type(x) is torch.Tensor and x.numel():
        if not torch.compiler.is_compiling() and not torch.jit.is_tracing():
            moved = x + 2.0**-60  # hardly ever 0, and where that is seen the share is 1/2
            share = torch.nn.functional.gelu(moved).div_(moved)
            if 0 <= share.sum() < math.inf:  # no 0/0, nothing infinite, and no x so large that x times 2 is
                return share
    return torch.erf(x * math.sqrt(0.5)).mul_(0.5).add_(0.5)
''',
    "_conv": '''
def _conv(x, w, sizes, stride, offset, dilation, groups=1):
    """y[n, o, i] = sum over c, u of x[n, c, stride*i + dilation*u - offset] * w[o, c, u] for i < sizes; x is 0 outside."""
    rank, kernel = len(sizes), w.shape[2:]
    if 0 in x.shape or 0 in w.shape or 0 in sizes:
        return x.new_zeros((x.shape[0], w.shape[0], *sizes))
    padding = list(offset)
    for k in range(rank):
        natural = (x.shape[2 + k] + 2 * offset[k] - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1
        if offset[k] < 0 or natural < sizes[k]:
            length = stride[k] * (sizes[k] - 1) + dilation[k] * (kernel[k] - 1) + 1
            x, padding[k] = _window(x, 2 + k, -offset[k], length), 0
    conv = (torch.nn.functional.conv1d, torch.nn.functional.conv2d, torch.nn.functional.conv3d)[rank - 1]
    y = conv(x, w, None, stride, padding, dilation, groups)
    for k in range(rank):
        y = y.narrow(2 + k, 0, sizes[k])
    return y
''',
    "_conv_of_batches": '''
def _conv_of_batches(x, w, sizes, stride, offset, dilation):
    """As _conv, where the channels are a batch: over large images as products with some rows' windows at a time."""
    (c, n, *image), (o, _, *places) = x.shape, w.shape
    size, count = c * math.prod(sizes), math.prod(places)
    room = min(1 << 19, (x.numel() + w.numel()) // 2)  # the windows of a time stay in the cache, and below what is given
    known = x.is_cpu and x.dtype in (torch.float32, torch.float64) and min(offset) >= 0
    small = c < 2 or size == c or count < 128 or size * n * count * o < 1 << 22
    if not known or small or size * math.prod(places[1:]) > room:
        return _conv(x, w, sizes, stride, offset, dilation)
    if x.dim() == 3:
        narrow = _conv_of_batches(x[..., None], w[..., None], (*sizes, 1), (*stride, 1), (*offset, 0), (*dilation, 1))
        return narrow.squeeze(-1)
    rows = min(places[0], room // (size * places[1]))
    images = min(n, max(1, room // (size * count)))
    seen = [stride[k] * (sizes[k] - 1) + dilation[k] * (places[k] - 1) + 1 for k in (0, 1)]
    framed = x.new_zeros((c, images, *seen))  # the images in their padding
    inner = [slice(offset[k], min(seen[k], offset[k] + image[k])) for k in (0, 1)]
    x = x[:, :, : seen[0] - offset[0], : seen[1] - offset[1]]
    z, i, r, q = framed.stride()
    y, space = x.new_zeros((size, o)), x.new_empty(size * images * rows * places[1])
    for k in range(0, n, images):
        framed[:, : n - k, *inner] = x[:, k : k + images]
        for top in range(0, places[0], rows):
            grads = w[:, k : k + images, top : top + rows]
            shape = (c, *sizes, *grads.shape[1:])
            steps = (z, stride[0] * r, stride[1] * q, i, dilation[0] * r, dilation[1] * q)
            windows = framed.as_strided(shape, steps, top * dilation[0] * r)
            windows = space[: math.prod(shape)].view(shape).copy_(windows).view(size, -1)
            y += _product(windows, grads.reshape(o, -1).contiguous())
    return y.mT.reshape(o, c, *sizes).transpose(0, 1)
''',
    "_product": '''
def _product(a, b):
    """a @ b.mT; of float32 by the kernels of torch's convolutions, which on some processors take half the time."""
    known = torch.backends.mkldnn.is_available() and "AVX" in torch.backends.cpu.get_cpu_capability()
    if a.dtype == torch.float32 and known and hasattr(torch.ops.mkldnn, "_linear_pointwise"):  # not torch's to keep
        return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    return a @ b.mT
''',
    "_conv_transpose": '''
def _conv_transpose(y, w, sizes, stride, offset, dilation, groups=1):
    """x[n, c, p] = sum of y[n, o, i] * w[o, c, u] over p = stride*i + dilation*u - offset, for p < sizes."""
    rank = len(sizes)
    if 0 in y.shape or 0 in w.shape or 0 in sizes:
        return y.new_zeros((y.shape[0], w.shape[1] * groups, *sizes))
    full = [stride[k] * (y.shape[2 + k] - 1) + dilation[k] * (w.shape[2 + k] - 1) + 1 for k in range(rank)]
    extra = [sizes[k] - full[k] + 2 * offset[k] for k in range(rank)]
    conv = (torch.nn.functional.conv_transpose1d, torch.nn.functional.conv_transpose2d, torch.nn.functional.conv_transpose3d)
    if all(offset[k] >= 0 and 0 <= extra[k] < max(stride[k], dilation[k]) for k in range(rank)):
        return conv[rank - 1](y, w, None, stride, offset, extra, groups, dilation)
    x = conv[rank - 1](y, w, None, stride, 0, 0, groups, dilation)
    for k in range(rank):
        x = _window(x, 2 + k, offset[k], sizes[k])
    return x
''',
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
    "_row_sums": '''
def _row_sums(x, keepdim=False):
    """x.sum(-1); of many short rows as a product with ones: a processor's sum goes through these number by number."""
    if x.numel() >= 4096 and x.is_cpu and x.dtype in (torch.float32, torch.float64):
        length = x.shape[-1]
        if length <= 16 and x.numel() >= 4096 * length:
            return x @ x.new_ones((length, 1) if keepdim else length)
    return x.sum(-1, keepdim)
''',
    "_moved": '''
def _moved(first, x, dim):
    """x one place on along dim, behind first, which broadcasts; nothing where there is no place."""
    shape = [*x.shape]
    if not shape[dim]:
        return x.clone()  # the caller may write into it
    rest, shape[dim] = x.narrow(dim, 0, shape[dim] - 1), 1
    return torch.cat((torch.as_tensor(first, dtype=x.dtype, device=x.device).expand(shape), rest), dim)
''',
    "_pick": '''
def _pick(x, dim, *places):
    """x at integer places along dim and the dimensions after it; zeros where x has no elements there."""
    end = dim + len(places)
    if 0 in x.shape[dim:end]:
        return x.new_zeros((*x.shape[:dim], *torch.broadcast_shapes(*(p.shape for p in places)), *x.shape[end:]))
    return x[(slice(None),) * dim + places]
''',
    "_accumulate": '''
def _accumulate(zeros, places, values):
    """Adds the values into their places; nothing where there are none."""
    return zeros.index_put(places, values, accumulate=True) if zeros.numel() else zeros
''',
    "_sum_of_slices": '''
def _sum_of_slices(x, dim, start, length, step, dilation, count):
    """y[i] = sum over u < count of x[start + step*i + dilation*u], for i < length along dim; x is 0 outside."""
    total = _window(x, dim, start, length, step)
    for u in range(1, count):
        total = total + _window(x, dim, start + dilation * u, length, step)
    return total
''',
    "_overlap_add": '''
def _overlap_add(x, dim, stride, offset, size):
    """y[k] = sum of x[p, u] over stride*p + u - offset = k, for k < size; p runs along dim, u along the one after it."""
    kernel, total = x.shape[dim + 1], None
    for start in range(0, kernel, stride):  # pieces of windows as long as the stride lie side by side
        part = x.narrow(dim + 1, start, min(stride, kernel - start))
        if part.shape[dim + 1] < stride:
            lead = (0, 0) * (x.dim() - dim - 2)
            part = torch.nn.functional.pad(part, (*lead, 0, stride - part.shape[dim + 1]))
        part = _window(part.flatten(dim, dim + 1), dim, offset - start, size)
        total = part if total is None else total + part
    return total
''',
    "_product_of_others": '''
def _product_of_others(x, dim):
    """y[i] = the product of x[j] over all j != i, along dim: of those before i, times those after it."""
    n = x.shape[dim]
    if n == 0:
        return x
    one = torch.ones_like(x.narrow(dim, 0, 1))
    before = torch.cat((one, x.narrow(dim, 0, n - 1)), dim).cumprod(dim)
    after = torch.cat((one, x.narrow(dim, 1, n - 1).flip(dim)), dim).cumprod(dim).flip(dim)
    return before * after
''',
    "_product_of_others_alike": '''
def _product_of_others_alike(x, key, dim, size):
    """y[i] = the product of x[j] over all j != i with key[j] = key[i], along dim; the keys stay below size."""
    zero = x == 0
    own = torch.where(zero, 1, x)
    shape = (*x.shape[:dim], size, *x.shape[dim + 1 :])
    zeros = torch.zeros(shape, dtype=torch.int64, device=x.device).scatter_add(dim, key, zero.long())
    whole = torch.ones(shape, dtype=x.dtype, device=x.device).scatter_reduce(dim, key, own, "prod")
    return torch.where(zeros.gather(dim, key) > zero.long(), 0, whole.gather(dim, key) / own)
''',
    "_cumsum_exp": '''
def _cumsum_exp(weight, inner, outer, dim):
    """y[i] = sum over j <= i of weight[j] * exp(inner[j] + outer[i]), by doubling steps; no exponent grows above its own."""
    n = inner.shape[dim]
    top = inner.cummax(dim).values
    top = torch.where(top == -math.inf, 0, top)
    total = weight * torch.exp(inner - top)
    fade = torch.exp((top.narrow(dim, 0, n - 1) - top.narrow(dim, 1, n - 1)).clamp(max=0)) if n else top
    step = 1
    while step < n:  # fade[i] carries the sum that ends at i to the one that ends at i + step
        carried = total.narrow(dim, 0, n - step) * fade
        total = torch.cat((total.narrow(dim, 0, step), total.narrow(dim, step, n - step) + carried), dim)
        fade = fade.narrow(dim, 0, max(n - 2 * step, 0)) * fade.narrow(dim, min(step, n - step), max(n - 2 * step, 0))
        step *= 2
    return total * torch.exp(top + outer)
''',
    "_stored": '''
def _stored(x):
    """x, computed once by a compiler, which else does so again for each number that is made of it."""
    return x if x.requires_grad else x.as_strided(x.shape, x.stride())
''',
    "_divide": '''
def _divide(a, b):
    """a / b as a tensor divides: a zero divisor gives inf or nan."""
    if b:
        return a / b
    return math.copysign(math.inf, a) if a else math.nan
''',
    "_shape_error": '''
def _shape_error(sizes, /, **tensors):
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
                found = f", where {dim} = {expected}" if dim.isidentifier() else ""
                return ValueError(f"{name} has shape {shape}; expected ({dims}){found}")
    shapes = ", ".join(f"{name} {tuple(tensor.shape)} for ({dims})" for name, (tensor, dims) in tensors.items())
    return ValueError(f"the shapes do not fit together: {shapes}")
''',
}
