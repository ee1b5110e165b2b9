"""Reads what `strace -f -yy -o FILE` wrote.

strace handles one stop of one thread at a time and writes in that order. A call that nothing else came between is one
line; any other is a line where it begins (`<unfinished ...>`) and one where it ends (`<... NAME resumed>`). So a call
whose last line stands before another's first had ended when that one began.
"""

import dataclasses
import re

LINE = re.compile(r"(\d+) +(.*)")
BEGUN = re.compile(r"(\w+)\((.*?) *<unfinished \.\.\.>$")
RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
RESULT = re.compile(r"\) += (-?\d+)(.*)$")


@dataclasses.dataclass
class Call:
    thread: str
    name: str
    arguments: str
    result: int | None  # None: it never ended
    path: str  # of the descriptor that it returned
    begin: int  # the number of its first line
    end: int  # of its last

    def __str__(self):
        returned = f"{self.result}<{self.path}>" if self.path else self.result
        return f"{self.thread} {self.name}({self.arguments}) = {returned}"

    def descriptor(self, place=0):
        """Number and path of the descriptor that is the argument at `place`, of those that are descriptors."""
        found = re.findall(r"(?:^|, )(\d+)<((?:->|[^<>])*)>", self.arguments)
        return (int(found[place][0]), found[place][1]) if len(found) > place else (None, "")


def finish(call, rest, number):
    result = RESULT.search(rest)
    if not result:
        return None
    call.arguments += rest[: result.start()]
    call.result, call.end = int(result[1]), number
    path = re.match(r"<(.*)>", result[2])
    call.path = path[1] if path else ""
    return call


def calls(lines):
    """All calls, in the order in which they began."""
    all_calls, open_calls = [], {}
    for number, line in enumerate(lines):
        line = LINE.match(line)
        if not line:
            continue
        thread, text = line.groups()
        if resumed := RESUMED.match(text):
            call = open_calls.pop((thread, resumed[1]), None)
            if call:
                finish(call, resumed[2], number)
        elif begun := BEGUN.match(text):
            call = Call(thread, begun[1], begun[2], None, "", number, number)
            open_calls[thread, begun[1]] = call
            all_calls.append(call)
        elif "(" in text:
            name, rest = text.split("(", 1)
            if name.isidentifier():
                call = Call(thread, name, "", None, "", number, number)
                if finish(call, rest, number):
                    all_calls.append(call)
    return all_calls
