"""Evaluates arithmetic expressions: parsed, never executed as code, and limited. Pure."""

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

MAX_EXPRESSION_CHARS = 500
MAX_INTEGER_BITS = 4096
"""The limit of integers: about 1,200 digits."""

Number = int | float


class WrongExpression(Exception):
    """The expression cannot be evaluated; the text explains it."""


def bounded_power(base: Number, exponent: Number) -> Number:
    size = base.bit_length() if isinstance(base, int) else 1
    if isinstance(exponent, int) and size * abs(exponent) > MAX_INTEGER_BITS:
        raise WrongExpression("The result is too large.")
    result: Any = base**exponent
    if isinstance(result, complex):
        raise WrongExpression("The result is not a real number.")
    return float(result) if isinstance(result, float) else int(result)


OPERATORS: dict[type[ast.AST], Callable[..., Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: bounded_power,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
FUNCTIONS: dict[str, Callable[..., Number]] = {
    **{name: getattr(math, name) for name in ("sqrt", "exp", "log", "log10", "log2")},
    **{name: getattr(math, name) for name in ("sin", "cos", "tan", "floor", "ceil")},
    "abs": abs,
    "round": round,
    "min": min,
    "max": max,
}
CONSTANTS = {"pi": math.pi, "e": math.e}


def calculate(expression: str) -> Number:
    """Return the value of `expression`: + - * / // % **, functions and constants.

    `^` means a power. Raises WrongExpression.
    """
    if len(expression) > MAX_EXPRESSION_CHARS:
        raise WrongExpression(f"An expression has at most {MAX_EXPRESSION_CHARS} characters.")
    try:
        tree = ast.parse(expression.strip().replace("^", "**"), mode="eval")
        return checked(value_of(tree.body))
    except ZeroDivisionError as error:
        raise WrongExpression("Division by zero.") from error
    except OverflowError as error:
        raise WrongExpression("The result is too large.") from error
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise WrongExpression("This is not an arithmetic expression.") from error
    except (ValueError, TypeError) as error:
        raise WrongExpression(f"This cannot be evaluated: {error}.") from error


def value_of(node: ast.AST) -> Number:
    match node:
        case ast.Constant(value=bool() | complex() | str() | bytes() | None):
            raise WrongExpression("Only numbers can be used.")
        case ast.Constant(value=int() | float() as number):
            return checked(number)
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return checked(OPERATORS[type(op)](value_of(left), value_of(right)))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            return OPERATORS[type(op)](value_of(operand))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            return checked(FUNCTIONS[name](*map(value_of, arguments)))
    known = ", ".join(sorted([*FUNCTIONS, *CONSTANTS]))
    raise WrongExpression(f"Only numbers, + - * / // % **, brackets and {known} are supported.")


def checked(number: Number) -> Number:
    """Return `number` if it is within the limits. Every intermediate result is checked."""
    if isinstance(number, int):
        if number.bit_length() > MAX_INTEGER_BITS:
            raise WrongExpression("The result is too large.")
    elif not math.isfinite(number):
        raise WrongExpression("The result is not a number.")
    return number
