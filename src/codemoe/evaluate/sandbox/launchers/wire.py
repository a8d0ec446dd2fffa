"""Plain data between the tests' process and the candidate's: both start with this text.

A value is a tag byte, then its size where it has one, then its content. Only exact builtin types
arrive; whatever decides for itself what it is equal to stays behind as a handle, which can be
called, indexed and iterated but never compared. Lists, dicts and sets keep their identity: one
that was sent and comes back is the same object again, with what was changed in it.
"""
# mypy: ignore-errors
# Every millisecond counts twice per program: built-in modules only, no typing.

import builtins
import posix
import sys

READ = 1 << 16
DEPTH = 400  # of nesting; deeper data is refused before the interpreter's own limit


class WireError(Exception):
    """The other side does not speak as agreed, or is gone."""


class Gone(BaseException):
    """The other process has ended."""


class Channel:
    """Frames of bytes: a 4-byte length, then the content."""

    def __init__(self, read_fd, write_fd):
        self.read_fd, self.write_fd = read_fd, write_fd
        self.buffer = b""

    def take(self, size):
        parts, have = [self.buffer], len(self.buffer)
        while have < size:
            chunk = posix.read(self.read_fd, max(READ, size - have))
            if not chunk:
                raise Gone
            parts.append(chunk)
            have += len(chunk)
        data = b"".join(parts)
        self.buffer = data[size:]
        return data[:size]

    def receive(self):
        return self.take(int.from_bytes(self.take(4), "big"))

    def send(self, content):
        data = len(content).to_bytes(4, "big") + content
        while data:
            data = data[posix.write(self.write_fd, data) :]


# Exact classes of libraries that travel by their parts: name -> to a tuple of plain values.
LIBRARY = {
    "collections.OrderedDict": lambda v: (list(dict.items(v)),),
    "collections.Counter": lambda v: (dict(dict.items(v)),),
    "collections.deque": lambda v: (list(v), v.maxlen),
    "decimal.Decimal": lambda v: (str(v),),
    "fractions.Fraction": lambda v: (v.numerator, v.denominator),
    "datetime.date": lambda v: (v.year, v.month, v.day),
    "datetime.datetime": lambda v: (
        v.year,
        v.month,
        v.day,
        v.hour,
        v.minute,
        v.second,
        v.microsecond,
    ),
    "datetime.time": lambda v: (v.hour, v.minute, v.second, v.microsecond),
    "datetime.timedelta": lambda v: (v.days, v.seconds, v.microseconds),
    "builtins.range": lambda v: (v.start, v.stop, v.step),
    "builtins.slice": lambda v: (v.start, v.stop, v.step),
}
VIEWS = {type({}.keys()): b"K", type({}.values()): b"V", type({}.items()): b"Y"}
BASES = (bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict)


class Writer:
    """Encodes values. `known` maps id(object) -> number of a mutable object both sides have."""

    def __init__(self, peer, known=None):
        self.peer, self.known = peer, dict(known or {})
        self.alive = []  # keeps ids valid
        self.out = []

    def sized(self, tag, data):
        self.out.append(b"%b%x;" % (tag, len(data)))
        self.out.append(data)

    def items(self, tag, values, depth):
        values = list(values)
        self.out.append(b"%b%x;" % (tag, len(values)))
        for value in values:
            self.put(value, depth + 1)

    def seen(self, value):
        """Writes a back reference when the object was already sent; numbers it otherwise."""
        number = self.known.get(id(value))
        if number is not None:
            self.out.append(b"r%x;" % number)
            return True
        self.known[id(value)] = len(self.known)
        self.alive.append(value)
        return False

    def put(self, value, depth=0):
        if depth > DEPTH:
            raise WireError("data nested too deeply")
        kind = type(value)
        if value is None:
            self.out.append(b"N")
        elif kind is bool:
            self.out.append(b"T" if value else b"F")
        elif kind is int:
            self.sized(b"i", b"%x" % value)
        elif kind is float:
            self.sized(b"f", float.__repr__(value).encode())
        elif kind is str:
            self.sized(b"s", value.encode("utf-8", "surrogatepass"))
        elif kind is list:
            if not self.seen(value):
                self.items(b"l", value, depth)
        elif kind is tuple:
            self.items(b"t", value, depth)
        elif kind is dict:
            if not self.seen(value):
                self.items(b"d", (part for item in value.items() for part in item), depth)
        elif kind is set:
            if not self.seen(value):
                self.items(b"S", value, depth)
        elif kind is frozenset:
            self.items(b"z", value, depth)
        elif kind is bytes:
            self.sized(b"b", value)
        elif kind is bytearray:
            if not self.seen(value):
                self.sized(b"B", bytes(value))
        elif kind is complex:
            self.items(b"c", (value.real, value.imag), depth)
        elif value is Ellipsis:
            self.out.append(b".")
        elif value is NotImplemented:
            self.out.append(b"!")
        elif kind in VIEWS:
            self.items(VIEWS[kind], value, depth)
        else:
            self.other(value, kind, depth)

    def other(self, value, kind, depth):
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name in LIBRARY and getattr(sys.modules.get(kind.__module__), kind.__name__, 0) is kind:
            self.sized(b"X", name.encode())
            self.items(b"t", LIBRARY[name](value), depth)
        elif kind in (type, type(len)) and getattr(builtins, value.__name__, None) is value:
            self.sized(b"G", value.__name__.encode())
        elif isinstance(value, BaseException):
            self.sized(b"E", repr_names(kind))
            try:
                arguments = tuple(value.args)
            except BaseException:
                arguments = ()
            self.items(b"t", arguments, depth)
        elif self.peer.shared_class(kind) and type(getattr(value, "__dict__", None)) is dict:
            if not self.seen(value):
                self.sized(b"I", kind.__name__.encode())
                self.put(dict(value.__dict__), depth + 1)
        elif isinstance(value, tuple) and type(getattr(kind, "_fields", None)) is tuple:
            self.sized(b"n", kind.__name__.encode())
            self.items(b"t", kind._fields, depth)
            self.items(b"t", tuple.__iter__(value), depth)
        else:
            for base in BASES:  # an answer of a class of its own counts for what is in it
                if isinstance(value, base):
                    if base is str:
                        plain = str.__str__(value)
                        value = plain if type(plain) is str else str.__getitem__(value, slice(None))
                    elif base is dict:
                        value = dict(dict.items(value))
                    elif base in (int, float, complex):
                        value = getattr(base, f"__{base.__name__}__")(value)
                    elif base in (bytes, bytearray):
                        value = base(memoryview(value))
                    else:
                        value = base(base.__iter__(value))
                    self.put(value, depth)
                    return
            own, number = self.peer.handle(value)
            if own:
                self.out.append(b"h%x;" % number)
                self.sized(b"s", kind.__name__.encode())
                self.put(callable(value))
            else:
                self.out.append(b"H%x;" % number)

    def done(self):
        return b"".join(self.out)


def repr_names(kind):
    """The names of an exception's class and its bases, nearest first."""
    return " ".join(base.__name__ for base in kind.__mro__[:-1]).encode("utf-8", "replace")


class Reader:
    """Decodes values. `objects` lists the mutable objects by their number."""

    def __init__(self, peer, data, objects=None):
        self.peer, self.data, self.at = peer, data, 0
        self.objects = objects if objects is not None else []

    def number(self):
        end = self.data.index(b";", self.at, self.at + 12)
        text, self.at = self.data[self.at : end], end + 1
        return int(text, 16)

    def bytes(self):
        size = self.number()
        found = self.data[self.at : self.at + size]
        if len(found) != size:
            raise WireError("cut short")
        self.at += size
        return found

    def text(self):
        if self.data[self.at : self.at + 1] not in (b"s", b"X", b"E", b"I", b"n"):
            raise WireError("a text was expected")
        self.at += 1
        return self.bytes().decode("utf-8", "surrogatepass")

    def many(self, depth):
        return [self.get(depth + 1) for _ in range(self.number())]

    def get(self, depth=0):
        if depth > DEPTH + 4:
            raise WireError("data nested too deeply")
        tag = self.data[self.at : self.at + 1]
        self.at += 1
        if tag == b"N":
            return None
        if tag == b"i":
            return int(self.bytes(), 16)
        if tag == b"s":
            return self.bytes().decode("utf-8", "surrogatepass")
        if tag == b"T" or tag == b"F":
            return tag == b"T"
        if tag == b"f":
            return float(self.bytes())
        if tag == b"l":
            found = []
            self.objects.append(found)
            found.extend(self.many(depth))
            return found
        if tag == b"t":
            return tuple(self.many(depth))
        if tag == b"d":
            found = {}
            self.objects.append(found)
            parts = self.many(depth)
            found.update(zip(parts[::2], parts[1::2], strict=True))
            return found
        if tag == b"S":
            found = set()
            self.objects.append(found)
            found.update(self.many(depth))
            return found
        if tag == b"z":
            return frozenset(self.many(depth))
        if tag == b"b":
            return self.bytes()
        if tag == b"B":
            found = bytearray(self.bytes())
            self.objects.append(found)
            return found
        if tag == b"r":
            return self.objects[self.number()]
        if tag == b"c":
            return complex(*self.many(depth))
        if tag == b".":
            return Ellipsis
        if tag == b"!":
            return NotImplemented
        if tag in b"KVY" and tag:
            values = self.many(depth)
            if tag == b"K":
                return dict.fromkeys(values).keys()
            if tag == b"V":
                return dict(enumerate(values)).values()
            return dict(values).items()
        return self.other(tag, depth)

    def other(self, tag, depth):
        if tag == b"X":
            module, _, name = self.bytes().decode().rpartition(".")
            if f"{module}.{name}" not in LIBRARY:
                raise WireError(f"unknown class {name}")
            self.at += 1
            parts = self.many(depth)
            return getattr(__import__(module, fromlist=(name,)), name)(*parts)
        if tag == b"E":
            names = self.bytes().decode("utf-8", "replace").split()
            self.at += 1
            return self.peer.exception(names, self.many(depth))
        if tag == b"I":
            kind = self.peer.class_named(self.bytes().decode("utf-8", "replace"))
            found = object.__new__(kind)
            self.objects.append(found)
            found.__dict__.update(self.get(depth + 1))
            return found
        if tag == b"n":
            name = self.bytes().decode("utf-8", "replace")
            fields, values = self.get(depth + 1), self.get(depth + 1)
            from collections import namedtuple

            return namedtuple(name, fields)(*values)
        if tag == b"G":
            return self.peer.builtin(self.bytes().decode("utf-8", "replace"))
        if tag == b"h":
            return self.peer.remote(self.number(), self.get(depth + 1), self.get(depth + 1))
        if tag == b"H":
            return self.peer.own(self.number())
        raise WireError("unknown tag")
