"""The comparison of answers: hand-made pairs for each class of notation, both ways round.

Equal pairs are the same answer in another spelling; unequal ones are near misses that some grader accepts.
"""

from __future__ import annotations

import pytest

from lakon.core.records import Outcome
from lakon.domains.math import equal

EQUAL = r"""
x > 1 | 1 < x
-x \ge -1 | x \le 1
(1,\infty) | x>1
(-\infty,1)\cup(3,\infty) | x<1 \text{ or } x>3
(-\infty,1)\cup(3,\infty) | (3,\infty) \cup (-\infty, 1)
x \in \mathbb{R} | (-\infty,\infty)
\mathbb{R} | \text{all real numbers}
\mathbb{R}\setminus\{2\} | (-\infty,2)\cup(2,\infty)
\mathbb{R}\setminus\{2\} | x \neq 2
[0,1) | [0, 1)
(3,4] | 3 < x \le 4
\{1,2,3\} | 3,2,1
\{1,2,3\} | x = 1, 2, 3
\{1,2\} | x=1 \text{ or } x=2
2,3 | x_1 = 2, x_2 = 3
(1,2) | x=1, y=2
(1,2) | (x,y) = (1,2)
(1,2) | \left(1 , 2\right)
\left( 3, \frac{\pi}{2} \right) | (3, \pi/2)
(0.6,2) | (3/5,2)
3 \pm \sqrt{2} | 3+\sqrt2, 3-\sqrt2
3 \pm \sqrt{2} | x = 3 \pm \sqrt{2}
3 \pm \sqrt{2} | x = 3 + \sqrt{2} \text{ and } x = 3 - \sqrt{2}
\begin{pmatrix} 1 \\ 2 \end{pmatrix} | \begin{bmatrix} 1 \\ 2 \end{bmatrix}
\begin{pmatrix} 1 \\ 2 \end{pmatrix} | (1,2)
\begin{pmatrix} 1 \\ 2 \end{pmatrix} | \langle 1, 2 \rangle
\begin{pmatrix} 1/3 \\ 2/3 \end{pmatrix} | \frac{1}{3}\begin{pmatrix} 1 \\ 2 \end{pmatrix}
\begin{pmatrix} 1/3 & 0\\ 2/3 &1 \end{pmatrix} | \begin{array}{cc} \frac13 & 0 \\ \frac23 & 1\end{array}
\$18 | 18 \text{ dollars}
\$18 | \$18.00
\$32,\!348 | 32348
\$32,\!348 | \$32,348
5.4 \text{ cents} | 5.4
5.4 \text{ cents} | 5.4\text{ cents}
15\mbox{ cm}^2 | 15
15\mbox{ cm}^2 | 15 \text{ cm}^2
15\mbox{ cm}^2 | 15 \text{ square centimeters}
864 \mbox{ inches}^2 | 864 \text{ in}^2
864 \mbox{ inches}^2 | 864 square inches
\frac{270}7\text{ degrees} | \frac{270}{7}^\circ
\frac{270}7\text{ degrees} | 38\frac{4}{7}
106^\circ | 106
106^\circ | 106 degrees
106^\circ | 106°
28\% | 28
28\% | 0.28
28\% | 28 percent
0.5 | 50\%
137 \frac{1}{2} | 137.5
137 \frac{1}{2} | \frac{275}{2}
1\frac{4}{5} | 9/5
-3\frac12 | -3.5
3 1/2 | 7/2
3½ | 3.5
.35625 | 0.35625
.0000672 | 6.72 \times 10^{-5}
.0000672 | 6.72e-5
58,500 | 58500
11,\! 111,\! 111,\! 100 | 11111111100
1\,000 | 1000
1 000 | 1000
1{,}000 | 1000
016 | 16
**73** | 73
\text{Evelyn} | \textbf{Evelyn}
\text{(B)} | B
\text{(B)} | (B)
\text{(B)} | \textbf{(B)}\ 42
\text{(B)} | B. 42
\text{even} | Even
\text{even} | \text{an even function}
4210_5 | 4210_{5}
4210_5 | 4210_{\text{five}}
4210_5 | 4210 \text{ base } 5
4210_5 | (4210)_5
4210_5 | 4210_{(5)}
x=5 | 5
5 | x = 5
y = 2x + 3 | 2x+3
y = 2x + 3 | y=3+2x
y = 2x + 3 | y - 2x = 3
f(x) = 2x+3 | y = 2x+3
5x - 7y + 11z + 4 = 0 | -5x+7y-11z-4=0
5x - 7y + 11z + 4 = 0 | 5x-7y+11z=-4
\emptyset | \text{no solution}
\emptyset | \varnothing
\emptyset | No real solutions
\emptyset | \{\}
\infty | infinity
(-\infty, 0] | x \leq 0
1:2 | 2:4
1:2 | \frac12
3:4:5 | 3:4:5
9:24 | 9:24 \text{ a.m.}
4\!:\!51\!:\!06 \text{ p.m.} | 4:51:06 PM
12:00 | 12:00 \text{ PM}
10080 | 10,080
p - q | -q+p
\cot x | \frac{\cos x}{\sin x}
\cot x | \frac{1}{\tan x}
x^3+3x-6 | x^3 + 3 x - 6
(a+5)(b+2) | (b+2)(a+5)
(a+5)(b+2) | ab+2a+5b+10
\frac{1}{2}i | \frac{i}{2}
2\sqrt{5} | \sqrt{20}
\frac{\sqrt{3}}{3} | \frac{1}{\sqrt{3}}
\frac{\sqrt3}{2} | \sin 60^\circ
e^{2} | \mathrm{e}^2
\ln 2 | \log 2
2 | \log_{10} 100
2 | \log 100
\binom{5}{2} | 10
5! | 120
2^{10} | 1024
\frac{1}{2^{98}} | 2^{-98}
10^\circ, 50^\circ, 54^\circ | 10,50,54
\text{H, E} | H, E
\text{A,B,C,D} | A, B, C, D
\text{A5}_{11} | A5_{11}
43_5. | 43_5
(-9x^2+x+2)(9x^2+x+2) | (9x^2+x+2)(-9x^2+x+2)
0.\overline{3} | \frac13
0.1\overline{6} | 1/6
\frac{11}{15}\text{ days} | 11/15
20\text{ miles} | 20 miles
1.85\ \text{USD} | \$1.85
34\text{ sq. units} | 34
382 \text{ dollars} | \$382
k = 1 | 1
2D | 2D
LQSX | LQSX
AB=4,CD=5 | 4,5
x\ge 2 | [2,\infty)
[-1,0) \cup (0,1] | [-1,1]\setminus\{0\}
\left[ \frac{\pi^2}{8}, \frac{5 \pi^2}{4} \right] | [\pi^2/8, 5\pi^2/4]
6+9i | 9i+6
1 \pm \sqrt{19} | \{1-\sqrt{19}, 1+\sqrt{19}\}
18 | eighteen
3, 5, 7 | 3, 5, \text{ and } 7
3, 5, 7 | 7; 5; 3
(2,4) | \text{(2, 4)}
1000000 | 10^6
1000000 | 1 \text{ million}
\frac{3}{4} | 0.75
\frac{3}{4} | 75/100
-\frac{3}{8} | \frac{-3}{8}
-\frac{3}{8} | -3/8
\frac{3}{8} | \frac{-3}{-8}
\sqrt[3]{2} | 2^{1/3}
x^{2/3} | \sqrt[3]{x^2}
|x| | \sqrt{x^2}
\sin^2 x | 1-\cos^2 x
2\cos(x) | 2 \cos{x}
\arctan 1 | \frac{\pi}{4}
\tan^{-1}(1) | \pi/4
\frac{2}{3}\pi | \frac{2\pi}{3}
\pi r^2 | r^2\pi
x^2+y^2=25 | y^2+x^2=25
\frac{x^2}{4}+\frac{y^2}{9}=1 | 9x^2+4y^2=36
7 \text{ and } 9 | 7, 9
-1 \pm i | -1+i, -1-i
A = \pi r^2 | \pi r^2
\angle ABC = 30^\circ | 30
1/3 | 0.333333
\frac{1}{12} | 0.0833333333
2 \text{ hours} | 120 \text{ minutes}
1.5 \text{ m} | 150 \text{ cm}
\text{east} | \text{East}
\text{yes} | Yes
\text{True} | \text{true}
6 | 6.0
6 | +6
6 | \mathbf{6}
\mathbf{i}+2\mathbf{j} | \mathbf{i} + 2 \mathbf{j}
a^2 b | b a^2
\sum_{k=1}^{10} k | 55
\int_0^1 2x\,dx | 1
\frac{n(n+1)}{2} | \frac{n^2+n}{2}
(-1)^n | (-1)^{n}
\lfloor 3.7 \rfloor | 3
\gcd(12,18) | 6
2\times 3 | 6
10 \text{ (mod 13)} | 10
f(2) < f(1) < f(4) | f(4)>f(1)>f(2)
x<-1 \text{ or } x>2 | (-\infty,-1)\cup(2,\infty)
\{x \mid x > 3\} | (3,\infty)
\{ x : -1<x<1 \} | (-1,1)
1,2,3,4 | \{1, 2, 3, 4\}
-2 \le x \le 7 | [-2,7]
90 | 90^{\circ}
\tfrac{39}{11} | \dfrac{39}{11}
\$2 | 2
\frac{9}{2} | 4\frac{1}{2}
0 | -0
2 | 2.
x = 2 | 2 = x
\text{Friday} | Friday
\sqrt{\pi} | \pi^{1/2}
\frac{1}{\sqrt{2}} | \frac{\sqrt{2}}{2}
\log_2 3 | \frac{\ln 3}{\ln 2}
\frac{\pi}{6} + 2\pi n | 2 n \pi + \frac{\pi}{6}
1.0 \times 10^3 | 1000
5 \text{ or } 5.0 | 5
y = \frac{1}{2} x | y = 0.5x
6\pi | 6 \pi \text{ cm}
e^{i\pi} | -1
4:30 | 4:30 p.m.
16 \text{ ft} | 16\text{ feet}
16 \text{ ft} | 16'
50\text{ mph} | 50 miles per hour
x \equiv 3 \pmod{7} | 3
r = 5 | 5
\theta = 30^\circ | 30^\circ
(A) | A
1/2 | .5
22\frac{1}{2}\% | 22.5
1,234,567 | 1234567
1,234.5 | 1234.5
4,\,5 | 4, 5
\text{ellipse} | \text{The graph is an ellipse.}
x^2 - 4 | (x-2)(x+2)
\frac{a+b}{c} | \frac{a}{c}+\frac{b}{c}
\sqrt{2}+\sqrt{3} | \sqrt{3}+\sqrt{2}
\sqrt{5+2\sqrt{6}} | \sqrt{2}+\sqrt{3}
-\sqrt{3} | -3^{1/2}
2^{1/2} | 2^{0.5}
x^{-1} | 1/x
P(x)=x^2+1 | x^2+1
a_n = 2n+1 | 2n+1
a_n=2n+1 | a_{n} = 1+2n
\text{Monday, Tuesday} | Monday, Tuesday
\sqrt{x}\sqrt{y} | \sqrt{xy}
\sqrt{x^2+6x+9} | |x+3|
1234 | 1,234 \text{ km}
\$1,000 | {\$1,000.}
1,000 | {1,000}
\{100, 200\} | {100,200}
(-1,3) | x>-1, x<3
15 | 15 men
2^{2005} | 2^{2006}/2
"""

UNEQUAL = r"""
x > 1 | x \ge 1
(3,4] | (3,4)
(3,4) | [3,4]
\{1,2\} | \{1,2,3\}
(1,2) | (2,1)
(1,2) | 1,2
(-2,1) | -2,1
[-2,1] | -2,1
\{1,2\} | (1,2)
4210_5 | 4210
40_9 | 40
40 | 40_9
40_9 | 40_8
36^\circ | \$36
\$36 | 36^\circ
36 \text{ cm} | 36 \text{ m}
5x - 7y + 11z + 4 = 0 | 0
0 | 5x-7y=0
7 = 11a+c | 11a+c
1+\frac{1}{\mathrm{e}} | 1
\frac{1}{2^{99}} | \frac{1}{2^{98}}
0.0000001 | 0
\frac{1}{2^{99}} | 0
x | X
a | A
P | p
p - q | q - p
2+3i | 2-3i
5 | 5.001
3.14 | \pi
\pi | 3.14159
1/3 | 0.33
2 | -2
\frac{2}{3} | \frac{3}{2}
y = 2x+3 | y=2x-3
x = 5 | y = 5
1:2 | 2:1
4:30 \text{ a.m.} | 4:30 \text{ p.m.}
9:24 | 9:42
\text{even} | \text{odd}
\text{even} | \text{not even}
\text{(B)} | \text{(C)}
\emptyset | 0
\{0\} | \emptyset
5 | 5, 6
5, 6 | 5
1 \pm \sqrt{19} | 1+\sqrt{19}
1 \pm \sqrt{19} | 1
\sqrt{19} | 19
2\sqrt{5} | 2\sqrt{3}
(-\infty,1)\cup(3,\infty) | (-\infty,1]\cup(3,\infty)
(-\infty,1)\cup(3,\infty) | (-\infty,3)
\begin{pmatrix} 1 \\ 2 \end{pmatrix} | \begin{pmatrix} 2 \\ 1 \end{pmatrix}
\begin{pmatrix} 1 \\ 2 \end{pmatrix} | \begin{pmatrix} 1 & 2 \end{pmatrix}
\begin{pmatrix} 1&2\\3&4 \end{pmatrix} | \begin{vmatrix} 1&2\\3&4 \end{vmatrix}
x^2 | x^3
x^2 | x
10^6 | 10^7
1000 | 1001
12 | 12!
5 | 5!
\frac{1}{2} | \frac{1}{20}
0.5 | 0.05
28\% | 2.8
28\% | 2800
\cot x | \tan x
2k | 2n
f(x) | g(x)
f(x+1)-f(x) | f
|x| | x
9 | 9^{9^{9^9}}
x \le 3 | x \ge 3
(3,\infty) | (-\infty,3)
3R^2 | 3r^2
1.0001 | 1
100000 | 100001
123456.7 | 123456.8
0.123456 | 0.123457
\frac{17}{50} | \frac{17}{51}
1+274i | 1-274i
-\sqrt{3} | \sqrt{3}
\sqrt{-3} | \sqrt{3}
2x+3 | 2x
x=2 | x=-2
\text{Navin} | \text{Evelyn}
(6,31,-1) | (6,31,1)
(6,31,-1) | (6,31)
1,-2 | 1,2
\pi | 2\pi
3, 5, 7 | 3, 5
3, 5, 7 | 3, 5, 8
2 | 2 \text{ or } 3
15 | 15x
x | x+1
2^{100} | 2^{101}
2^{100} | 2^{100}+1
1.5 \text{ m} | 15 \text{ cm}
\$5.4 | 5.4 \text{ cents}
x<1 \text{ or } x>3 | x<1
\frac{a}{b} | \frac{b}{a}
1 | \frac{1}{1+e^{-50}}
\infty | -\infty
\infty | 1000
x+2n+1 | x+1
\frac{2^{2005}+1}{3\cdot 2^{2006}} | \frac{1}{3 \cdot 2^{2006}}
\text{no solution} | 0
\log_2 3 | \log_3 2
12 | 1,2
12 | 1 2
3 \frac{1}{2} | \frac{3}{2}
23 | 2 \text{ and } 3
AB | BC
\overline{AB} | \overline{CD}
x = 1, y = 2 | x = 2, y = 1
[1,2] | \{1,2\}
(0,9) \cup (9,36) | (0,36)
|x+4| | x+4
\sqrt{x^2+6x+9} | x+3
\lfloor x/100 \rfloor | 0
\sqrt{x} | -\sqrt{x}
10^{100} | 10^{100}+1
100! | 100!+1
\pi | \pi + 10^{-50}
15 | 15xy
x>1 | x>1, y>1
22,500 | 22.5
15 \text{ in}^2 | 15 \text{ in}^3
BCA | BAC
"""


def pairs(block: str) -> list[tuple[str, str]]:
    """The pairs of a block, one a line."""
    lines = (line.split(" | ") for line in block.strip().splitlines())
    return [(first.strip(), second.strip()) for first, second in lines]


@pytest.mark.parametrize(("first", "second"), pairs(EQUAL))
def test_the_same_answer_in_another_spelling(first: str, second: str) -> None:
    assert equal(first, second).outcome is Outcome.CORRECT
    assert equal(second, first).outcome is Outcome.CORRECT


@pytest.mark.parametrize(("first", "second"), pairs(UNEQUAL))
def test_a_near_miss(first: str, second: str) -> None:
    for grading in (equal(first, second), equal(second, first)):
        assert grading.outcome is not Outcome.CORRECT
        assert grading.method


def test_a_unit_of_one_letter_is_one_only_where_the_reference_has_no_unknown() -> None:
    assert equal("15", "15 m").outcome is Outcome.CORRECT
    assert equal("15m", "15").outcome is Outcome.INCORRECT
    assert equal("15", "15x").outcome is Outcome.INCORRECT


METHODS = [
    ("12", "012", "integer"),
    (r"\frac12", r"\dfrac{1}{2}", "string"),
    ("0.5", "1/2", "rational"),
    (r"\sqrt{8}", r"2\sqrt{2}", "numeric"),
    (r"\frac{1}{7}", "0.14285714", "rounded"),
    ("40_9", "40", "veto-base"),
    (r"36^\circ", r"\$36", "veto-unit"),
    ("x+y=0", "0", "veto-equation"),
    ("(1,2)", "1,2", "veto-brackets"),
    ("2.5", "2,5", "decimal-comma"),
    (r"\int_0^1 2x\,dx", "1", "math-verify"),
]


@pytest.mark.parametrize(("reference", "candidate", "method"), METHODS)
def test_every_decision_names_its_method(reference: str, candidate: str, method: str) -> None:
    assert equal(reference, candidate).method == method


UNDECIDED = [
    ("5", r"\oint_C \aleph"),
    (r"180^\circ", r"\pi"),
    (r"\frac{9^{9^{9^9}}}{9^{9^{9^9}}}", "1"),
    (r"\frac{0}{0}", r"\frac{0}{0} + 5"),
    (r"-((0) \cdot (\frac{0}{0}))", r"-((0) \cdot (\frac{0}{0})) + 5"),
]


@pytest.mark.parametrize(("reference", "candidate"), UNDECIDED)
def test_what_no_method_can_decide_is_unparsed_and_not_wrong(reference: str, candidate: str) -> None:
    assert equal(reference, candidate).outcome is Outcome.UNPARSED


def test_an_interval_beside_a_column_is_decided_and_not_an_error() -> None:
    column = r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"
    for other, outcome in ((r"\left(1, 2\right]", Outcome.INCORRECT), ("[1, 2]", Outcome.CORRECT)):
        assert equal(column, other).outcome is outcome
        assert equal(other, column).outcome is outcome
