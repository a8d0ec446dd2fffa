"""Questions and answers between the tests' process and the candidate's, on top of wire.py.

Either side may ask the other for what its objects do; answers carry what became of the arguments.
"""
# mypy: ignore-errors
# ruff: noqa: F821 (launchers/wire.py stands in front of this text)


def refill(target, content):
    """Give an object that both sides have what the other side made of it."""
    if type(target) is list or type(target) is bytearray:
        target[:] = content
    elif type(target) is dict or type(target) is set:
        target.clear()
        target.update(content)
    else:
        target.__dict__.clear()
        target.__dict__.update(content)


def content_of(value):
    """A copy of an object's own content, in a type of its own kind."""
    kind = type(value)
    return kind(value) if kind in (list, dict, set, bytearray) else dict(value.__dict__)


class Remote:
    """Something that lives on the other side: it can be called and looked into.

    It is never compared with plain data, nor reckoned into any: an answer that decides for itself
    what it is equal to, or whose difference to everything is 0, would be right always. Two of its
    kind may be compared: that is what tests of classes do.
    """

    def __init__(self, peer, number, name):
        object.__setattr__(self, "_codemoe", (peer, number, name))

    def __call__(self, *args, **kwargs):
        return ask(self, "call", args, kwargs)

    def __iter__(self):
        return ask(self, "iter")

    def __next__(self):
        found, value = ask(self, "next")
        if not found:
            raise StopIteration
        return value

    def __len__(self):
        return ask(self, "len")

    def __bool__(self):
        return ask(self, "bool")

    def __contains__(self, value):
        return any(value == item for item in self)

    def __getitem__(self, key):
        return ask(self, "getitem", (key,))

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return ask(self, "getattr", (name,))

    def __setattr__(self, name, value):
        ask(self, "setattr", (name, value))

    def __enter__(self):
        return ask(self, "enter")

    def __exit__(self, *_):
        ask(self, "exit")

    def __instancecheck__(self, value):
        return isinstance(value, Remote) and ask(self, "isinstance", (value,))

    def __repr__(self):
        return ask(self, "repr")

    def __str__(self):
        return ask(self, "str")

    def __hash__(self):
        return ask(self, "hash")

    def __eq__(self, other):
        return both(self, other, "eq")

    def __ne__(self, other):
        equal = both(self, other, "eq")
        return equal if equal is NotImplemented else not equal

    def __lt__(self, other):
        return both(self, other, "lt")

    def __le__(self, other):
        return both(self, other, "le")

    def __gt__(self, other):
        return both(self, other, "gt")

    def __ge__(self, other):
        return both(self, other, "ge")

    def __add__(self, other):
        return reckon(self, other, "add")

    def __sub__(self, other):
        return reckon(self, other, "sub")

    def __mul__(self, other):
        return reckon(self, other, "mul")

    def __truediv__(self, other):
        return reckon(self, other, "truediv")


def both(left, right, operation):
    return ask(left, operation, (right,)) if isinstance(right, Remote) else NotImplemented


def reckon(left, right, operation):
    value = ask(left, operation, (right,))
    return value if isinstance(right, Remote) or isinstance(value, Remote) else NotImplemented


def ask(remote, operation, args=(), kwargs=None):
    peer, number, _ = object.__getattribute__(remote, "_codemoe")
    return peer.ask(operation, number, args, kwargs or {})


class Peer:
    """One end of the conversation. Calls may nest: a callback asks while an answer is due."""

    def __init__(self, channel):
        self.channel = channel
        self.objects = []  # ours that the other side holds handles of
        self.numbers = {}
        self.classes = {}  # classes that both sides have, by name
        self.exceptions = {}  # exception classes by name, besides the builtin ones

    def shared_class(self, kind):
        return self.classes.get(kind.__name__) is kind

    def class_named(self, name):
        if name not in self.classes:
            raise WireError(f"unknown class {name}")
        return self.classes[name]

    def handle(self, value):
        """(whether it is ours, its number)"""
        if type(value) is Remote:
            peer, number, _ = object.__getattribute__(value, "_codemoe")
            if peer is self:
                return False, number
        number = self.numbers.get(id(value))
        if number is None:
            number = self.numbers[id(value)] = len(self.objects)
            self.objects.append(value)
        return True, number

    def own(self, number):
        return self.objects[number]

    def builtin(self, name):
        """A class or function that both interpreters have."""
        return getattr(builtins, name)

    def remote(self, number, name, _is_callable):
        return Remote(self, number, name)

    def exception(self, names, arguments):
        for name in names:
            kind = self.exceptions.get(name) or getattr(builtins, name, None)
            if isinstance(kind, type) and issubclass(kind, BaseException):
                try:
                    error = kind(*arguments)
                except BaseException:
                    error = kind.__new__(kind)
                    error.args = tuple(arguments)
                return error
        return Exception(*arguments)

    def ask(self, operation, number, args, kwargs):
        """Send a question, serve what is asked meanwhile, return the answer or raise it."""
        writer = Writer(self)
        writer.put(operation)
        writer.put(number)
        writer.put(args)
        writer.put(kwargs)
        self.channel.send(b"Q" + writer.done())
        objects = list(writer.alive)
        while True:
            message = self.channel.receive()
            if message[:1] == b"Q":
                self.serve(message)
                continue
            reader = Reader(self, message[1:], objects)
            count = len(writer.alive)
            value = reader.get()
            changed = reader.get()
            for index, content in changed:
                if index < count:
                    refill(objects[index], content)
            if message[:1] == b"A":
                return value
            if message[:1] == b"X" and isinstance(value, BaseException):
                raise value
            raise WireError("neither an answer nor an error")

    def serve(self, message):
        """Answer one question."""
        data = message[1:]
        reader = Reader(self, data)
        operation, number = reader.get(), reader.get()
        start = reader.at
        args, kwargs = reader.get(), reader.get()
        objects = reader.objects
        try:
            tag, value = b"A", self.perform(operation, number, args, kwargs)
        except BaseException as error:
            tag, value = b"X", self.failure(error)
        try:
            answer = self.answer(value, objects, args, kwargs, data[start:])
        except BaseException as error:
            tag, answer = b"X", self.answer(self.failure(error), [], (), {}, b"")
        self.channel.send(tag + answer)

    def failure(self, error):
        return error

    def answer(self, value, objects, args, kwargs, before):
        known = {id(one): number for number, one in enumerate(objects)}
        writer = Writer(self, known)
        writer.put(value)
        changed = ()
        if objects:
            now = Writer(self)
            now.put(args)
            now.put(kwargs)
            if now.done() != before:
                changed = tuple((n, content_of(one)) for n, one in enumerate(objects))
        # The copies are new objects, but what is in them may be known already.
        writer.put(changed)
        return writer.done()

    def perform(self, operation, number, args, kwargs):
        """What either side may ask of the other's objects."""
        target = self.own(number)
        if operation == "call":
            return target(*args, **kwargs)
        if operation == "iter":
            return iter(target)
        if operation == "next":
            try:
                return True, next(target)
            except StopIteration:
                return False, None
        if operation == "len":
            return len(target)
        if operation == "bool":
            return bool(target)
        if operation == "getitem":
            return target[args[0]]
        if operation == "getattr" and not args[0].startswith("_"):
            return getattr(target, args[0])
        if operation == "repr":
            return repr(target)
        raise WireError(f"unknown operation {operation}")
