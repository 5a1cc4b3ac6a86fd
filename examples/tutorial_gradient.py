"""The tutorial's own gradient of MSE over nn.Linear(1, 1), as it is written there, called as derivcheck calls a backward.

derivcheck run --gradient examples/tutorial_gradient.py:tutorial          it holds there, and trains
derivcheck run --data FILE.csv --target A --target B --gradient ...       it does not, and is refused
"""


def tutorial(grad_output, input, weight, bias, target):
    """Right for one input and one output; its gradients are numbers without dimensions."""
    y_pred = input @ weight.T + bias
    grad_output = 2 * (y_pred - target) / target.size(0)
    return {"weight": (grad_output * input).sum(), "bias": grad_output.sum()}


def divides_by_rows(grad_output, input, weight, bias, target):
    """The shapes fit, but the mean is over N·out: right for one output only."""
    y_pred = input @ weight.T + bias
    grad_output = 2 * (y_pred - target) / target.size(0)
    return {"weight": grad_output.T @ input, "bias": grad_output.sum(0)}


def right(grad_output, input, weight, bias, target):
    """Right for every size."""
    y_pred = input @ weight.T + bias
    grad_output = grad_output * 2 * (y_pred - target) / target.numel()
    return {"weight": grad_output.T @ input, "bias": grad_output.sum(0)}
