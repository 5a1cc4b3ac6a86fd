"""Wrong backwards of losses of classes and labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.wrong_backwards.mistake import Mistake, ints, layer, rand, randn, with_last
from examples.gallery.losses import dice_loss, distillation, focal_loss, smoothed_cross_entropy


def smoothed_cross_entropy_spreads_without_the_count(grad_output, logits, target):
    n, k = logits.shape
    p = torch.softmax(logits, dim=1)
    wanted = F.one_hot(target, k).to(p.dtype) * (1 - 0.1) + 0.1
    return {"logits": grad_output * (p - wanted) / n}


def smoothed_cross_entropy_averages_over_all_elements(grad_output, logits, target):
    n, k = logits.shape
    p = torch.softmax(logits, dim=1)
    wanted = F.one_hot(target, k).to(p.dtype) * (1 - 0.1) + 0.1 / k
    return {"logits": grad_output * (p - wanted) / (n * k)}


def masked_cross_entropy(logits, target):
    valid = target != 0
    nll = -F.log_softmax(logits, -1).gather(-1, target[:, None])[:, 0]
    return (nll * valid).sum() / valid.sum()


def masked_cross_entropy_divides_by_the_batch(grad_output, logits, target):
    valid = (target != 0).to(logits.dtype)
    hot = F.one_hot(target, logits.shape[-1])
    grad = (torch.softmax(logits, -1) - hot) * valid[:, None]
    return {"logits": grad_output * grad / logits.shape[0]}


def masked_cross_entropy_forgets_the_mask(grad_output, logits, target):
    valid = (target != 0).to(logits.dtype)
    hot = F.one_hot(target, logits.shape[-1])
    grad = torch.softmax(logits, -1) - hot
    return {"logits": grad_output * grad / valid.sum()}


def focal_loss_weight_held_constant(grad_output, z, y):
    p = torch.sigmoid(z)
    pt = torch.where(y == 1, p, 1 - p)
    sign = torch.where(y == 1, 1.0, -1.0)
    dpt = -((1 - pt) ** 2) / pt
    dz = sign * dpt * p * (1 - p)
    return {"z": grad_output * dz / z.numel()}


def focal_loss_forgets_the_sign_of_the_negatives(grad_output, z, y):
    p = torch.sigmoid(z)
    pt = torch.where(y == 1, p, 1 - p)
    dpt = 2 * (1 - pt) * torch.log(pt) - (1 - pt) ** 2 / pt
    dz = dpt * p * (1 - p)
    return {"z": grad_output * dz / z.numel()}


def dice_loss_forgets_the_path_through_the_total(grad_output, logits, mask):
    p = torch.sigmoid(logits)
    bottom = p.sum(1, keepdim=True) + mask.sum(1, keepdim=True) + 1
    dp = -2 * mask / bottom
    dlogits = dp * p * (1 - p) / p.shape[0]
    return {"logits": grad_output * dlogits}


def dice_loss_denominator_without_the_smoothing(grad_output, logits, mask):
    p = torch.sigmoid(logits)
    top = 2 * (p * mask).sum(1, keepdim=True) + 1
    bottom = p.sum(1, keepdim=True) + mask.sum(1, keepdim=True)
    dp = top / bottom**2 - 2 * mask / bottom
    dlogits = dp * p * (1 - p) / p.shape[0]
    return {"logits": grad_output * dlogits}


def distillation_temperature_cancelled_twice(grad_output, student, teacher):
    t = 2.0
    target = torch.softmax(teacher / t, dim=-1)
    predicted = torch.softmax(student / t, dim=-1)
    per_row = grad_output * t**2 / student.shape[0]
    dstudent = per_row * (predicted - target) / t**2
    dtarget = -per_row * F.log_softmax(student / t, dim=-1)
    dteacher = target * (dtarget - (dtarget * target).sum(-1, keepdim=True)) / t
    return {"student": dstudent, "teacher": dteacher}


def distillation_student_at_temperature_one(grad_output, student, teacher):
    t = 2.0
    target = torch.softmax(teacher / t, dim=-1)
    predicted = torch.softmax(student, dim=-1)
    per_row = grad_output * t**2 / student.shape[0]
    dstudent = per_row * (predicted - target) / t
    dtarget = -per_row * F.log_softmax(student / t, dim=-1)
    dteacher = target * (dtarget - (dtarget * target).sum(-1, keepdim=True)) / t
    return {"student": dstudent, "teacher": dteacher}


def weighted_bce(z, y, pos_weight):
    return (pos_weight * y * F.softplus(-z) + (1 - y) * F.softplus(z)).mean()


def weighted_bce_ignores_the_weight(grad_output, z, y, pos_weight):
    p = torch.sigmoid(z)
    scaled = grad_output / z.numel()
    dz = (p - y) * scaled
    dweight = (-y * F.logsigmoid(z)).sum(0) * scaled
    return {"z": dz, "pos_weight": dweight}


def weighted_bce_weight_with_the_other_log(grad_output, z, y, pos_weight):
    p = torch.sigmoid(z)
    scaled = grad_output / z.numel()
    dz = ((1 - y) * p - pos_weight * y * (1 - p)) * scaled
    dweight = (-y * F.logsigmoid(-z)).sum(0) * scaled
    return {"z": dz, "pos_weight": dweight}


def cosine_margin(x, w, target):
    cos = F.normalize(x, dim=1) @ F.normalize(w, dim=1).T
    margin = 0.35 * F.one_hot(target, w.shape[0]).to(x.dtype)
    return F.cross_entropy(4.0 * (cos - margin), target, reduction="sum")


def cosine_margin_forgets_the_margin(grad_output, x, w, target):
    nx, nw = x.norm(dim=1, keepdim=True), w.norm(dim=1, keepdim=True)
    ux, uw = x / nx, w / nw
    cos = ux @ uw.T
    hot = F.one_hot(target, w.shape[0]).to(x.dtype)
    p = torch.softmax(4.0 * cos, dim=1)
    dcos = 4.0 * grad_output * (p - hot)
    dux = dcos @ uw
    duw = dcos.T @ ux
    dx = (dux - ux * (dux * ux).sum(1, keepdim=True)) / nx
    dw = (duw - uw * (duw * uw).sum(1, keepdim=True)) / nw
    return {"x": dx, "w": dw}


def cosine_margin_weight_is_not_projected(grad_output, x, w, target):
    nx, nw = x.norm(dim=1, keepdim=True), w.norm(dim=1, keepdim=True)
    ux, uw = x / nx, w / nw
    cos = ux @ uw.T
    hot = F.one_hot(target, w.shape[0]).to(x.dtype)
    p = torch.softmax(4.0 * (cos - 0.35 * hot), dim=1)
    dcos = 4.0 * grad_output * (p - hot)
    dux = dcos @ uw
    duw = dcos.T @ ux
    dx = (dux - ux * (dux * ux).sum(1, keepdim=True)) / nx
    dw = duw / nw
    return {"x": dx, "w": dw}


CASES = [
    *layer(
        "cross entropy with label smoothing",
        smoothed_cross_entropy,
        lambda N, K: {"logits": randn(N, K), "target": ints(K, N)},
        {"N": (4, 5), "K": (5, 4)},
        Mistake(
            smoothed_cross_entropy_spreads_without_the_count,
            "wanted = F.one_hot(target, k).to(p.dtype) * (1 - 0.1) + 0.1",
            "wanted = F.one_hot(target, k).to(p.dtype) * (1 - 0.1) + 0.1 / k",
            r"\bk\b|\bK\b|classes|smooth|0\.1|divi",
        ),
        Mistake(
            smoothed_cross_entropy_averages_over_all_elements,
            'return {"logits": grad_output * (p - wanted) / (n * k)}',
            'return {"logits": grad_output * (p - wanted) / n}',
            r"\bk\b|\bK\b|factor|count|mean|classes|size",
        ),
    ),
    *layer(
        "cross entropy with an ignored label",
        masked_cross_entropy,
        lambda N, K: {"logits": randn(N, K), "target": with_last(ints(K, N), 0)},
        {"N": (6, 7), "K": (4, 5)},
        Mistake(
            masked_cross_entropy_divides_by_the_batch,
            'return {"logits": grad_output * grad / logits.shape[0]}',
            'return {"logits": grad_output * grad / valid.sum()}',
            r"valid|count|\bN\b|mask|ignore|size|shape",
        ),
        Mistake(
            masked_cross_entropy_forgets_the_mask,
            "grad = torch.softmax(logits, -1) - hot",
            "grad = (torch.softmax(logits, -1) - hot) * valid[:, None]",
            r"valid|mask|ignore|target",
        ),
    ),
    *layer(
        "focal loss",
        focal_loss,
        lambda N: {"z": randn(N), "y": ints(2, N)},
        {"N": (5, 6)},
        Mistake(
            focal_loss_weight_held_constant,
            "dpt = -((1 - pt) ** 2) / pt",
            "dpt = 2 * (1 - pt) * torch.log(pt) - (1 - pt) ** 2 / pt",
            r"log|term|path|missing|forgot|constant",
        ),
        Mistake(
            focal_loss_forgets_the_sign_of_the_negatives,
            "dz = dpt * p * (1 - p)",
            "dz = torch.where(y == 1, 1.0, -1.0) * dpt * p * (1 - p)",
            r"sign|\by\b|factor|negat",
        ),
    ),
    *layer(
        "dice loss",
        dice_loss,
        lambda N, P: {"logits": randn(N, P), "mask": rand(N, P)},
        {"N": (3, 2), "P": (5, 6)},
        Mistake(
            dice_loss_forgets_the_path_through_the_total,
            "dp = -2 * mask / bottom",
            "dp = (2 * (p * mask).sum(1, keepdim=True) + 1) / bottom**2 - 2 * mask / bottom",
            r"bottom|top|term|path|missing|forgot|denominator",
        ),
        Mistake(
            dice_loss_denominator_without_the_smoothing,
            "bottom = p.sum(1, keepdim=True) + mask.sum(1, keepdim=True)",
            "bottom = p.sum(1, keepdim=True) + mask.sum(1, keepdim=True) + 1",
            r"\b1\b|smooth|eps|one|bottom",
        ),
    ),
    *layer(
        "distillation",
        distillation,
        lambda N, K: {"student": randn(N, K), "teacher": randn(N, K)},
        {"N": (4, 3), "K": (5, 4)},
        Mistake(
            distillation_temperature_cancelled_twice,
            "dstudent = per_row * (predicted - target) / t**2",
            "dstudent = per_row * (predicted - target) / t",
            r"\bt\b|temperature|\b2\b|factor|power|exponent|\b4\b",
        ),
        Mistake(
            distillation_student_at_temperature_one,
            "predicted = torch.softmax(student, dim=-1)",
            "predicted = torch.softmax(student / t, dim=-1)",
            r"\bt\b|temperature|softmax|divi|\b2",
        ),
    ),
    *layer(
        "weighted binary cross entropy",
        weighted_bce,
        lambda N, K: {"z": randn(N, K), "y": rand(N, K), "pos_weight": rand(K)},
        {"N": (4, 3), "K": (3, 4)},
        Mistake(
            weighted_bce_ignores_the_weight,
            "dz = (p - y) * scaled",
            "dz = ((1 - y) * p - pos_weight * y * (1 - p)) * scaled",
            r"pos_weight|weight|factor",
        ),
        Mistake(
            weighted_bce_weight_with_the_other_log,
            "dweight = (-y * F.logsigmoid(-z)).sum(0) * scaled",
            "dweight = (-y * F.logsigmoid(z)).sum(0) * scaled",
            r"sign|negat|minus|logsigmoid|-z|\bz\b",
        ),
    ),
    *layer(
        "large margin cosine loss",
        cosine_margin,
        lambda N, D, K: {"x": randn(N, D), "w": randn(K, D), "target": ints(K, N)},
        {"N": (4, 3), "D": (3, 4), "K": (5, 4)},
        Mistake(
            cosine_margin_forgets_the_margin,
            "p = torch.softmax(4.0 * cos, dim=1)",
            "p = torch.softmax(4.0 * (cos - 0.35 * hot), dim=1)",
            r"margin|0\.35|hot",
        ),
        Mistake(
            cosine_margin_weight_is_not_projected,
            "dw = duw / nw",
            "dw = (duw - uw * (duw * uw).sum(1, keepdim=True)) / nw",
            r"norm|uw|project|path|term|missing|forgot",
        ),
    ),
]
