"""The application's end of the conversation with a test: a line is Python, and so is the answer."""

import ast
import os
import socket


def talk(names):
    """Run what is said until nobody speaks any more."""
    with socket.socket(fileno=int(os.environ["AUTOCRON_TALK"])) as conversation:
        # Unbuffered: what is said after an exec is for the next program.
        for line in conversation.makefile("rb", buffering=0):
            conversation.sendall(repr(obey(ast.literal_eval(line.decode()), names)).encode() + b"\n")


def obey(code, names):
    """What came of a line: ("value", …) or ("raised", …)."""
    try:
        try:
            compiled = compile(code, "<test>", "eval")
        except SyntaxError:
            exec(compile(code, "<test>", "exec"), names)
            return "value", None
        value = eval(compiled, names)
    except Exception as error:
        return "raised", (type(error).__name__, str(error))
    try:
        ast.literal_eval(repr(value))
    except (ValueError, SyntaxError):
        value = str(value)
    return "value", value
