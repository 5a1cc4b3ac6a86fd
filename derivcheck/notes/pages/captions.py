"""The words of the notes, in English and Chinese."""

from __future__ import annotations

from derivcheck.errors import InputError

ENGLISH = {
    "title": "Derivation",
    "titled": "Derivation: {name}",
    "forward": "Forward",
    "gradients": "Gradients by the chain rule",
    "shape": "at {sizes}",
    "every": "for every size {sizes}",
    "upstream": "{bar} is the upstream gradient, the derivative of the loss in {name}.",
    "bracket": "A square bracket around a condition is 1 where the condition holds, else 0.",
    "norm": "{norm} is the root of the sum of squares over the positions that are not written.",
    "stop": "no gradient flows through it",
    "sample": "Each forward line is about one sample; its index {index} is left out there and raised in brackets below.",
    "ones": "The bold 1 is a vector of ones.",
    "identity": "The bold I is the identity matrix.",
    "hadamard": "⊙ is the elementwise product; functions act elementwise.",
    "indexform": "in indices",
    "indexforms": "Where no matrix form was found, a line stands in indices.",
    "zero": "Indices start at 0.",
    "code": "Generated torch code",
    "conditions": "Conditions",
    "certificate": "How it was found",
    "contents": "Contents",
    "copy_latex": "Copy LaTeX",
    "copy_code": "Copy code",
    "copied": "Copied",
}
CHINESE = {
    "title": "推导",
    "titled": "推导：{name}",
    "forward": "前向传播",
    "gradients": "反向传播：链式法则求梯度",
    "shape": "当 {sizes} 时",
    "every": "对任意尺寸 {sizes} 成立",
    "upstream": "{bar} 是上游梯度，即损失对 {name} 的导数。",
    "bracket": "方括号内的条件成立时取 1，否则取 0。",
    "norm": "{norm} 表示对未写出的下标求平方和再开方。",
    "stop": "不传递梯度",
    "sample": "前向各式针对单个样本，省略样本下标 {index}；下文中样本下标写在右上角的括号里。",
    "ones": "粗体 1 表示全 1 向量。",
    "identity": "粗体 I 表示单位矩阵。",
    "hadamard": "⊙ 表示逐元素乘积；函数逐元素作用。",
    "indexform": "用下标表示",
    "indexforms": "没有矩阵形式的式子用下标表示。",
    "zero": "下标从 0 开始。",
    "code": "生成的 torch 代码",
    "conditions": "条件",
    "certificate": "推导依据",
    "contents": "目录",
    "copy_latex": "复制 LaTeX",
    "copy_code": "复制代码",
    "copied": "已复制",
}


def captions(lang: str) -> dict[str, str]:
    """The words of a language.

    Raises:
        InputError: another language than ``en`` or ``zh``.
    """
    known = {"en": ENGLISH, "zh": CHINESE}
    if lang not in known:
        raise InputError(f"lang is {lang!r}; expected 'en' or 'zh'")
    return known[lang]
