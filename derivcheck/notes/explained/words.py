"""The words of an explanation, in English and Chinese."""

from __future__ import annotations

ENGLISH = {
    "begin": "{value} stands in {lines}:",
    "line": "the line of {one}",
    "lines": "the lines of {many}",
    "and": " and ",
    "comma": ", ",
    "last": "{value} stands in {loss} itself; the derivative is read off:",
    "once": "{value} reaches {loss} {way}; the derivatives along the way are multiplied:",
    "several": "{value} reaches {loss} {way}; the derivatives along each way are multiplied, the ways added up:",
    "summed": "{value} reaches {loss} {way}; so the derivatives along the way are multiplied and summed over {over}:",
    "through": "through {ways}",
    "direct": "directly",
    "both": "directly, and through {ways}",
    "every": "{one} for every {over}",
    "plain": "{one}",
    "zero": "The way through {ways} adds nothing: its share is 0.",
    "outside": "{value} is what comes out: {bar} is the derivative of {loss} in it, which what comes after hands back.",
    "slope": "Here {local}.",
    "put": "Put in:",
    "between": "The derivative of a Cholesky factor takes lines of its own (Murray 2016):",
    "nothing": "{value} does not reach {loss}: its derivative is 0.",
}
CHINESE = {
    "begin": "{value} 出现在 {lines}：",
    "line": "{one} 的式子中",
    "lines": "{many} 的式子中",
    "and": " 和 ",
    "comma": "、",
    "last": "{value} 直接出现在 {loss} 里，对它求偏导即可：",
    "once": "{value} {way}影响 {loss}，把沿途的导数相乘：",
    "several": "{value} {way}影响 {loss}。每条路径上的导数相乘，各条路径再相加：",
    "summed": "{value} {way}影响 {loss}，所以先把沿途的导数相乘，再对 {over} 求和：",
    "through": "通过{ways} ",
    "direct": "直接",
    "both": "既直接，又通过{ways} ",
    "every": "所有 {over} 的 {one}",
    "plain": " {one}",
    "zero": "经由 {ways} 的路径贡献为 0。",
    "outside": "{value} 是输出：损失 {loss} 对它的导数 {bar} 由后面的计算传回来。",
    "slope": "其中 {local}。",
    "put": "代入得：",
    "between": "Cholesky 因子的导数分几步写出（Murray 2016）：",
    "nothing": "{value} 不影响 {loss}，导数为 0。",
}
WORDS = {"en": ENGLISH, "zh": CHINESE}
