"""Losses of predictions against targets."""

import torch
import torch.nn.functional as F

from examples.gallery.layer import Layer, Mistake


def cross_entropy(logits, target):
    return F.cross_entropy(logits, target)


def cross_entropy_backward(grad_output, logits, target):
    n, k = logits.shape
    p = torch.softmax(logits, dim=1)
    return {"logits": grad_output * (p - F.one_hot(target, k)) / n}


def smoothed_cross_entropy(logits, target):
    return F.cross_entropy(logits, target, label_smoothing=0.1)


def smoothed_cross_entropy_backward(grad_output, logits, target):
    n, k = logits.shape
    p = torch.softmax(logits, dim=1)
    wanted = F.one_hot(target, k).to(p.dtype) * (1 - 0.1) + 0.1 / k
    return {"logits": grad_output * (p - wanted) / n}


def bce_with_logits(z, y):
    return F.binary_cross_entropy_with_logits(z, y)


def bce_with_logits_backward(grad_output, z, y):
    p = torch.sigmoid(z)
    return {"z": grad_output * (p - y) / z.numel(), "y": -grad_output * z / z.numel()}


def huber(pred, truth):
    r = pred - truth
    small = 0.5 * r**2
    large = 0.8 * (r.abs() - 0.4)
    return torch.where(r.abs() <= 0.8, small, large).mean()


def huber_backward(grad_output, pred, truth):
    r = pred - truth
    slope = torch.clamp(r, -0.8, 0.8)
    g = grad_output * slope / r.numel()
    return {"pred": g, "truth": -g}


def distillation(student, teacher):
    t = 2.0
    target = torch.softmax(teacher / t, dim=-1)
    return -(target * F.log_softmax(student / t, dim=-1)).sum(-1).mean() * t**2


def distillation_backward(grad_output, student, teacher):
    t = 2.0
    target = torch.softmax(teacher / t, dim=-1)
    predicted = torch.softmax(student / t, dim=-1)
    per_row = grad_output * t**2 / student.shape[0]
    dstudent = per_row * (predicted - target) / t
    dtarget = -per_row * F.log_softmax(student / t, dim=-1)
    dteacher = target * (dtarget - (dtarget * target).sum(-1, keepdim=True)) / t
    return {"student": dstudent, "teacher": dteacher}


def focal_loss(z, y):
    p = torch.sigmoid(z)
    pt = torch.where(y == 1, p, 1 - p)
    return (-((1 - pt) ** 2) * torch.log(pt)).mean()


def focal_loss_backward(grad_output, z, y):
    p = torch.sigmoid(z)
    pt = torch.where(y == 1, p, 1 - p)
    sign = torch.where(y == 1, 1.0, -1.0)
    dpt = 2 * (1 - pt) * torch.log(pt) - (1 - pt) ** 2 / pt
    dz = sign * dpt * p * (1 - p)
    return {"z": grad_output * dz / z.numel()}


def dice_loss(logits, mask):
    p = torch.sigmoid(logits)
    overlap = (p * mask).sum(1)
    total = p.sum(1) + mask.sum(1)
    return (1 - (2 * overlap + 1) / (total + 1)).mean()


def dice_loss_backward(grad_output, logits, mask):
    p = torch.sigmoid(logits)
    top = 2 * (p * mask).sum(1, keepdim=True) + 1
    bottom = p.sum(1, keepdim=True) + mask.sum(1, keepdim=True) + 1
    dp = top / bottom**2 - 2 * mask / bottom
    dlogits = dp * p * (1 - p) / p.shape[0]
    return {"logits": grad_output * dlogits}


LAYERS = (
    Layer(
        "cross entropy",
        "The mean negative log-likelihood of the labels under a softmax.",
        "`torch.nn.CrossEntropyLoss`; the gradient is softmax minus one-hot.",
        cross_entropy,
        cross_entropy_backward,
        {"logits": "N K", "target": "int<K: N>"},
        (
            Mistake(
                "the mean forgotten",
                'return {"logits": grad_output * (p - F.one_hot(target, k)) / n}',
                'return {"logits": grad_output * (p - F.one_hot(target, k))}',
                "Softmax minus one-hot is remembered for one row; the loss is a mean over rows.",
            ),
            Mistake(
                "normalised over the batch",
                "p = torch.softmax(logits, dim=1)",
                "p = torch.softmax(logits, dim=0)",
                "The axis is one too few where a class axis came first in another code.",
            ),
        ),
    ),
    Layer(
        "label smoothing",
        "Cross-entropy against labels of which a tenth is spread over all classes.",
        "Szegedy et al. 2015, arXiv 1512.00567.",
        smoothed_cross_entropy,
        smoothed_cross_entropy_backward,
        {"logits": "N K", "target": "int<K: N>"},
        (
            Mistake(
                "spread without the count",
                "wanted = F.one_hot(target, k).to(p.dtype) * (1 - 0.1) + 0.1 / k",
                "wanted = F.one_hot(target, k).to(p.dtype) * (1 - 0.1) + 0.1",
                "The smoothing is what all classes get together, not each.",
            ),
            Mistake(
                "the mean over all elements",
                'return {"logits": grad_output * (p - wanted) / n}',
                'return {"logits": grad_output * (p - wanted) / (n * k)}',
                "It is `numel()`, as in a squared error.",
            ),
        ),
    ),
    Layer(
        "bce with logits",
        "Binary cross-entropy of a sigmoid.",
        "`torch.nn.BCEWithLogitsLoss`.",
        bce_with_logits,
        bce_with_logits_backward,
        {"z": "N K", "y": "N K"},
        (
            Mistake(
                "the sigmoid twice",
                '"z": grad_output * (p - y) / z.numel()',
                '"z": grad_output * (p - y) * p * (1 - p) / z.numel()',
                "p − y is the gradient in z already: the sigmoid's derivative has cancelled.",
            ),
            Mistake(
                "divided by the batch",
                '"z": grad_output * (p - y) / z.numel()',
                '"z": grad_output * (p - y) / len(z)',
                "The cross-entropy of a softmax is a mean over rows, this one is over all elements.",
            ),
        ),
        data={"y": torch.sigmoid},
    ),
    Layer(
        "huber",
        "A squared error within 0.8, and linear beyond.",
        "Huber 1964; Girshick 2015, arXiv 1504.08083, as smooth L1.",
        huber,
        huber_backward,
        {"pred": "N D", "truth": "N D"},
        (
            Mistake(
                "clamped at one",
                "slope = torch.clamp(r, -0.8, 0.8)",
                "slope = torch.clamp(r, -1.0, 1.0)",
                "The usual threshold stays where another was chosen.",
            ),
            Mistake(
                "divided by the batch",
                "g = grad_output * slope / r.numel()",
                "g = grad_output * slope / r.shape[0]",
                "With one output the two are the same.",
            ),
        ),
    ),
    Layer(
        "distillation",
        "Cross-entropy of a student against a teacher, both at temperature 2, times the temperature squared.",
        "Hinton, Vinyals and Dean 2015, arXiv 1503.02531, section 2.1.",
        distillation,
        distillation_backward,
        {"student": "N K", "teacher": "N K"},
        (
            Mistake(
                "the temperature cancelled twice",
                "dstudent = per_row * (predicted - target) / t",
                "dstudent = per_row * (predicted - target) / t**2",
                "The T² of the loss is there to cancel one T of the gradient and one of the logits' difference.",
            ),
            Mistake(
                "the student at temperature one",
                "predicted = torch.softmax(student / t, dim=-1)",
                "predicted = torch.softmax(student, dim=-1)",
                "The student's own softmax is at hand from the other loss.",
            ),
        ),
    ),
    Layer(
        "focal loss",
        "Binary cross-entropy, each example weighted by (1 − pₜ)².",
        "Lin et al. 2017, arXiv 1708.02002, with the derivative in its appendix B.",
        focal_loss,
        focal_loss_backward,
        {"z": "N", "y": "int<2: N>"},
        (
            Mistake(
                "the weight held constant",
                "dpt = 2 * (1 - pt) * torch.log(pt) - (1 - pt) ** 2 / pt",
                "dpt = -((1 - pt) ** 2) / pt",
                "(1 − pₜ)² is called a weight, and weights are constants elsewhere.",
            ),
            Mistake(
                "the sign of the negatives",
                "dz = sign * dpt * p * (1 - p)",
                "dz = dpt * p * (1 - p)",
                "pₜ is 1 − p for the negatives, and its derivative has a sign.",
            ),
        ),
    ),
    Layer(
        "dice loss",
        "One minus the overlap of a predicted and a true mask, twice, by their total.",
        "Milletari, Navab and Ahmadi 2016, arXiv 1606.04797, with its derivative; smoothed by 1.",
        dice_loss,
        dice_loss_backward,
        {"logits": "N P", "mask": "N P"},
        (
            Mistake(
                "the total held constant",
                "dp = top / bottom**2 - 2 * mask / bottom",
                "dp = -2 * mask / bottom",
                "The quotient rule has two terms.",
            ),
            Mistake(
                "the smoothing left out",
                "bottom = p.sum(1, keepdim=True) + mask.sum(1, keepdim=True) + 1",
                "bottom = p.sum(1, keepdim=True) + mask.sum(1, keepdim=True)",
                "The smoothing was added to the forward later.",
            ),
        ),
        data={"mask": torch.sigmoid},
        wrt=("logits",),
    ),
)
