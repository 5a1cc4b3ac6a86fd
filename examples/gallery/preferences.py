"""Losses that compare: pairs, triplets, answers to one question."""

import torch
import torch.nn.functional as F

from examples.gallery.layer import Layer, Mistake


def info_nce(u, v):
    logits = u @ v.T / 0.5
    return F.cross_entropy(logits, torch.arange(u.shape[0]))


def info_nce_backward(grad_output, u, v):
    n = u.shape[0]
    p = torch.softmax(u @ v.T / 0.5, dim=1)
    dlogits = grad_output * (p - torch.eye(n, dtype=u.dtype)) / n / 0.5
    return {"u": dlogits @ v, "v": dlogits.T @ u}


def triplet_loss(anchor, positive, negative):
    near = ((anchor - positive) ** 2).sum(1)
    far = ((anchor - negative) ** 2).sum(1)
    return torch.relu(near - far + 4.0).mean()


def triplet_loss_backward(grad_output, anchor, positive, negative):
    ap, an = anchor - positive, anchor - negative
    violated = ((ap**2).sum(1) - (an**2).sum(1) + 4.0) > 0
    w = 2 * grad_output * violated[:, None] / anchor.shape[0]
    return {"anchor": w * (ap - an), "positive": -w * ap, "negative": w * an}


def arcface(cos, target):
    hot = F.one_hot(target, cos.shape[1])
    shifted = torch.cos(torch.acos(cos) + 0.5)
    return F.cross_entropy(8.0 * torch.where(hot == 1, shifted, cos), target)


def arcface_backward(grad_output, cos, target):
    hot = F.one_hot(target, cos.shape[1])
    theta = torch.acos(cos)
    logits = 8.0 * torch.where(hot == 1, torch.cos(theta + 0.5), cos)
    dlogits = grad_output * (torch.softmax(logits, dim=1) - hot) / cos.shape[0]
    slope = torch.where(hot == 1, torch.sin(theta + 0.5) / torch.sqrt(1 - cos**2), 1.0)
    return {"cos": 8.0 * dlogits * slope}


def dpo(chosen, rejected, ref_chosen, ref_rejected):
    margin = (chosen - ref_chosen) - (rejected - ref_rejected)
    return -F.logsigmoid(0.1 * margin).mean()


def dpo_backward(grad_output, chosen, rejected, ref_chosen, ref_rejected):
    margin = (chosen - ref_chosen) - (rejected - ref_rejected)
    weight = torch.sigmoid(-0.1 * margin)
    g = -grad_output * 0.1 * weight / chosen.shape[0]
    return {"chosen": g, "rejected": -g}


def grpo(logp, old, ref, advantage):
    ratio = torch.exp(logp - old)
    gain = torch.minimum(ratio * advantage[:, None], ratio.clamp(0.8, 1.2) * advantage[:, None])
    kl = torch.exp(ref - logp) - (ref - logp) - 1
    return -(gain - 0.04 * kl).mean()


def grpo_backward(grad_output, logp, old, ref, advantage):
    ratio = torch.exp(logp - old)
    gain = ratio * advantage[:, None]
    kept = gain <= ratio.clamp(0.8, 1.2) * advantage[:, None]
    dgain = kept * gain
    dkl = 1 - torch.exp(ref - logp)
    return {"logp": -grad_output * (dgain - 0.04 * dkl) / logp.numel()}


LAYERS = (
    Layer(
        "infonce",
        "Each row of u has to find its own row of v among all, at temperature 1/2.",
        "van den Oord, Li and Vinyals 2018, arXiv 1807.03748.",
        info_nce,
        info_nce_backward,
        {"u": "N D", "v": "N D"},
        (
            Mistake(
                "the columns normalised",
                "p = torch.softmax(u @ v.T / 0.5, dim=1)",
                "p = torch.softmax(u @ v.T / 0.5, dim=0)",
                "The matrix of logits is square, so the axis makes no error of shape; CLIP's loss has both.",
            ),
            Mistake(
                "the other side not transposed",
                'return {"u": dlogits @ v, "v": dlogits.T @ u}',
                'return {"u": dlogits @ v, "v": dlogits @ u}',
                "Square again: without the transpose the shapes fit, too.",
            ),
        ),
    ),
    Layer(
        "triplet loss",
        "A squared distance to a positive, less one to a negative, plus a margin, where that is above 0.",
        "Schroff, Kalenichenko and Philbin 2015, arXiv 1503.03832.",
        triplet_loss,
        triplet_loss_backward,
        {"anchor": "N D", "positive": "N D", "negative": "N D"},
        (
            Mistake(
                "the margin forgotten",
                "violated = ((ap**2).sum(1) - (an**2).sum(1) + 4.0) > 0",
                "violated = ((ap**2).sum(1) - (an**2).sum(1)) > 0",
                "A margin has no gradient, but it decides who has one.",
            ),
            Mistake(
                "the distances added",
                '"anchor": w * (ap - an)',
                '"anchor": w * (ap + an)',
                "The anchor is in both distances, and the second one is subtracted.",
            ),
        ),
    ),
    Layer(
        "arcface",
        "Cross-entropy of cosines, the true class's angle enlarged by a margin.",
        "Deng et al. 2018, arXiv 1801.07698.",
        arcface,
        arcface_backward,
        {"cos": "N K", "target": "int<K: N>"},
        (
            Mistake(
                "the angle not divided by",
                "slope = torch.where(hot == 1, torch.sin(theta + 0.5) / torch.sqrt(1 - cos**2), 1.0)",
                "slope = torch.where(hot == 1, torch.sin(theta + 0.5), 1.0)",
                "The derivative of the arc cosine, −1/√(1 − cos²), is forgotten, or only its sign is kept.",
            ),
            Mistake(
                "the margin held constant",
                "slope = torch.where(hot == 1, torch.sin(theta + 0.5) / torch.sqrt(1 - cos**2), 1.0)",
                "slope = 1.0",
                "In CosFace the margin is subtracted from the cosine, and its slope is 1.",
            ),
        ),
        data={"cos": lambda x: 0.9 * torch.tanh(x)},
        where="cos > -1, cos < 1",
    ),
    Layer(
        "dpo",
        "The preference of a chosen over a rejected answer, by log-probabilities against a reference.",
        "Rafailov et al. 2023, arXiv 2305.18290, the gradient below its equation 7.",
        dpo,
        dpo_backward,
        {"chosen": "N", "rejected": "N", "ref_chosen": "N", "ref_rejected": "N"},
        (
            Mistake(
                "beta within alone",
                "g = -grad_output * 0.1 * weight / chosen.shape[0]",
                "g = -grad_output * weight / chosen.shape[0]",
                "β stands in the sigmoid, and comes out of it once more by the chain rule.",
            ),
            Mistake(
                "the weight of the right ones",
                "weight = torch.sigmoid(-0.1 * margin)",
                "weight = torch.sigmoid(0.1 * margin)",
                "The derivative of log σ(z) is σ(−z): pairs that are ordered wrongly weigh more.",
            ),
        ),
        wrt=("chosen", "rejected"),
    ),
    Layer(
        "grpo",
        "A clipped policy gradient with a penalty on divergence; the advantage is the reward against its group's mean.",
        "Shao et al. 2024, arXiv 2402.03300; the penalty is Schulman's estimator r − log r − 1.",
        grpo,
        grpo_backward,
        {"logp": "G T", "old": "G T", "ref": "G T", "advantage": "G"},
        (
            Mistake(
                "through the clipped ones",
                "dgain = kept * gain",
                "dgain = gain",
                "Where the clipped ratio is the smaller one, it is a constant.",
            ),
            Mistake(
                "the penalty's one forgotten",
                "dkl = 1 - torch.exp(ref - logp)",
                "dkl = -torch.exp(ref - logp)",
                "The estimator has log-ratio and ratio, and only the ratio is differentiated.",
            ),
        ),
        data={"logp": lambda x: x / 3, "old": lambda x: x / 3, "ref": lambda x: x / 3},
        wrt=("logp",),
    ),
)
