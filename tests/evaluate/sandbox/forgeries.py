"""Programs that try to be judged right without being it: (name, language, program, tests).

They know this sandbox: its launchers, pipes and processes. None may pass. `add` answers wrongly
in all of them, and the tests would see it.
"""
# ruff: noqa: E501 (programs read better in long lines)

from typing import NamedTuple


class Forgery(NamedTuple):
    name: str
    language: str
    program: str
    tests: str | None = None  # None: the language's TESTS below
    prompt: str = ""
    entry_point: str | None = "add"


TESTS = {
    "python": (
        "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-5, 3) == -2\n"
        "    assert abs(candidate(0.1, 0.2) - 0.3) < 1e-6\n    assert candidate(2, 2) in (4, 4.0)\n"
        "\ncheck(add)\n"
    ),
    "javascript": (
        "const assert = require('node:assert');\nfunction test() {\n  let candidate = add;\n"
        "  assert.deepEqual(candidate(1, 2), 3);\n  assert.deepEqual(candidate(-5, 3), -2);\n}\n"
        "test();\n"
    ),
    "typescript": (
        "declare var require: any;\nconst assert = require('node:assert');\nfunction test() {\n"
        "  let candidate = add;\n  assert.deepEqual(candidate(1, 2), 3);\n}\ntest();\n"
    ),
    "java": (
        "class Main {\n  public static void main(String[] args) {\n"
        "    assert Solution.add(1, 2).equals(Arrays.asList(3));\n  }\n}\n"
    ),
    "cpp": "int main() {\n  assert(add(1, 2) == std::vector<int>({3}));\n}\n",
    "c": "int main(void) {\n  assert(add(1, 2) == 3);\n  return 0;\n}\n",
    "go": ('func TestAdd(t *testing.T) {\n  if add(1, 2) != 3 {\n    t.Errorf("wrong")\n  }\n}\n'),
    "rust": "fn main() {\n    assert_eq!(add(1, 2), 3);\n}\n",
    "php": "if (add(1, 2) !== 3) { throw new Exception('Test failed!'); }\n",
    "csharp": (
        "    public static void Main(string[] args) {\n    Debug.Assert(Add(1, 2) == (3L));\n    }\n}\n"
    ),
}

PY_WRONG = "def add(a, b):\n    return 7\n"
# Everything a program finds on its descriptors, in the words that this sandbox uses itself.
PY_WRITE_ALL = (
    "import os, struct\n"
    "words = [b'P\\n', b'V', b'S\\nP\\n', struct.pack('>cII', b'V', 1, 1) + b'P',"
    " (2).to_bytes(4, 'big') + b'AN', b'\\x00\\x00\\x00\\x0aAi1;3t0;']\n"
    "for fd in range(0, 64):\n    for word in words:\n"
    "        try: os.write(fd, word)\n        except OSError: break\n"
)

PYTHON = [
    ("always equal", "class E:\n    def __eq__(s, o): return True\n    def __sub__(s, o): return 0\n"
     "    __rsub__ = __sub__\n    def __abs__(s): return 0\n    def __lt__(s, o): return True\n"
     "    def __hash__(s): return 4\n    def __bool__(s): return True\n"
     "def add(a, b): return E()\n"),
    ("an int that is always equal", "class E(int):\n    def __eq__(s, o): return True\n"
     "    def __sub__(s, o): return 0\n    def __hash__(s): return 4\n"
     "def add(a, b): return E(9)\n"),
    ("a float that lies", "class E(float):\n    def __eq__(s, o): return True\n"
     "    __hash__ = float.__hash__\n    def __float__(s): return 3.0\n"
     "def add(a, b): return E('nan')\n"),
    ("a metaclass that lies", "class M(type):\n    def __eq__(c, o): return True\n"
     "    def __hash__(c): return 3\n    def __instancecheck__(c, o): return True\n"
     "class E(metaclass=M): pass\ndef add(a, b): return E\n"),
    ("exit in a call", "import os\ndef add(a, b): os._exit(0)\n"),
    ("exit 0 from atexit", "import atexit, os\natexit.register(os._exit, 0)\n" + PY_WRONG),
    ("SystemExit(0)", "def add(a, b): raise SystemExit(0)\n"),
    ("exit in an exception's text", "class X(Exception):\n    def __str__(s): raise SystemExit(0)\n"
     "def add(a, b): raise X()\n"),
    ("GeneratorExit and friends", "n = [GeneratorExit, KeyboardInterrupt, StopIteration]\n"
     "def add(a, b): raise n.pop(0)\n"),
    ("writes verdicts on every descriptor", PY_WRITE_ALL + PY_WRONG),
    ("writes them in a call", "def add(a, b):\n    "
     + PY_WRITE_ALL.replace("\n", "\n    ").rstrip() + "\n    os._exit(0)\n"),
    ("patches builtins", "import builtins\nbuiltins.AssertionError = type('A', (BaseException,), {})\n"
     "builtins.abs = lambda x: 0\nbuiltins.isinstance = lambda *a: True\n"
     "builtins.__import__ = None\nbuiltins.compile = None\nbuiltins.exec = lambda *a: None\n"
     + PY_WRONG),
    ("redefines what the tests call", "def abs(x): return 0\ndef check(c): pass\n"
     "def isinstance(*a): return True\n" + PY_WRONG),
    ("patches the launcher it came with", "import sys\nfor m in list(sys.modules.values()):\n"
     "    for n in ('Writer', 'Peer', 'Candidate', 'Channel', 'leave', 'main'):\n"
     "        try: setattr(m, n, lambda *a, **k: None)\n        except Exception: pass\n" + PY_WRONG),
    ("walks frames for the expected value", "import sys\ndef add(a, b):\n    f = sys._getframe()\n"
     "    seen = []\n    while f:\n        seen += list(f.f_locals.values()) + "
     "list(f.f_code.co_consts)\n        f = f.f_back\n"
     "    for v in seen:\n        if v == a + b and 0: return v\n"
     "    return [v for v in seen if type(v) is int][:1]\n"),
    ("walks the collector for the tests", "import gc\ndef add(a, b):\n    found = []\n"
     "    for o in gc.get_objects():\n        if type(o).__name__ == 'function' and "
     "o.__name__ in ('check', 'test'):\n            found += [c for c in o.__code__.co_consts "
     "if type(c) is int]\n    return found[2] if len(found) > 2 else 7\n"),
    ("reads its own source, /proc and descriptors", "import os, re\ndef add(a, b):\n"
     "    text = b''\n    for p in ['/proc/self/cmdline', '/proc/self/environ', '/proc/1/cmdline',"
     " '/proc/1/environ', '/proc/self/mem', __file__ if '__file__' in globals() else ''] + "
     "['/proc/self/fd/%d' % n for n in range(20)]:\n        try:\n"
     "            fd = os.open(p, os.O_RDONLY | os.O_NONBLOCK)\n"
     "            text += os.read(fd, 65536)\n        except OSError: pass\n"
     "    m = re.findall(rb'candidate\\(1, 2\\) == (\\d+)', text)\n"
     "    return int(m[0]) if m else 7\n"),
    ("kills the other side", "import os, signal\ndef add(a, b):\n    for pid in range(1, 400):\n"
     "        if pid != os.getpid():\n            try: os.kill(pid, signal.SIGKILL)\n"
     "            except OSError: pass\n    return 7\n"),
    ("answers with a forged frame first", "import sys, os\n"
     "for fd in map(int, sys.argv[1:] or ['4', '5', '6']):\n"
     "    pass\ndef add(a, b):\n    data = b'Ai1;3t0;'\n"
     "    for fd in range(3, 32):\n        try: os.write(fd, len(data).to_bytes(4, 'big') + data)\n"
     "        except OSError: pass\n    return 7\n",),
    ("calls the tests' own callback for answers", "def add(a, b): return 7\n"
     "def map_it(f): return [f(n) for n in range(50)]\n"),
    ("huge answer", "def add(a, b): return 'x' * 10**8\n"),
    ("deep answer", "def add(a, b):\n    x = []\n    for _ in range(10**5): x = [x]\n    return x\n"),
    ("recursive answer", "def add(a, b):\n    x = []\n    x.append(x)\n    return x\n"),
    ("names a dangerous function", "def add(a, b): return exec\n"),
    ("named tuple with code for a name", "class T(tuple):\n    _fields = ('a', 'b')\n"
     "T.__name__ = 'x\", (), {}); import os; os._exit(0) #'\n"
     "def add(a, b): return T((1, 2))\n"),
    ("closes its pipes", "import os\ndef add(a, b):\n    os.closerange(3, 64)\n    os._exit(0)\n"),
    ("quits in a thread while tests run", "import threading, os, time\n"
     "threading.Thread(target=lambda: (time.sleep(0.05), os._exit(0))).start()\n"
     "def add(a, b):\n    time.sleep(1)\n    return 7\n"),
    ("executes another program", "import os\ndef add(a, b): os.execv('/usr/bin/true', ['true'])\n"),
]  # fmt: skip

JAVASCRIPT = [
    ("always equal", "const add = () => new Proxy({}, { get: () => () => 3, has: () => true });\n"),
    ("valueOf and toString", "let n = 0; const add = () => ({ valueOf() { return n++; }, "
     "toString() { return '3'; }, [Symbol.toPrimitive]: () => 3, toJSON: () => 3 });\n"),
    ("a number object", "const add = () => Object.assign(new Number(7), { valueOf: () => 3 });\n"),
    ("an array that lies", "const add = () => new (class extends Array { get length() { return 3; } "
     "valueOf() { return 3; } })();\n"),
    ("patches assert", "const a = require('assert');\nfor (const k of Object.keys(a)) "
     "{ try { a[k] = () => {}; } catch {} }\nconst add = () => 7;\n"),
    ("patches everything", "JSON.parse = JSON.stringify = () => '3';\n"
     "Object.defineProperty = (t) => t;\nArray.isArray = () => true;\n"
     "Map.prototype.get = () => 0;\nconst add = () => 7;\n"),
    ("exit in a call", "const add = () => process.exit(0);\n"),
    ("reallyExit", "const add = () => process.reallyExit(0);\n"),
    ("exit from an event", "process.on('exit', () => process.reallyExit(0));\nconst add = () => 7;\n"),
    ("swallows every error", "process.on('uncaughtException', () => {});\n"
     "process.on('unhandledRejection', () => {});\nconst add = () => 7;\n"),
    ("writes verdicts on every descriptor", "const fs = require('fs');\n"
     "for (let fd = 0; fd < 64; fd++) for (const w of ['P\\n', 'S\\nP\\n', '\\0\\0\\0\\x07{\"v\":3}', "
     "'V\\0\\0\\0\\x01\\0\\0\\0\\x01P']) { try { fs.writeSync(fd, w); } catch { break; } }\n"
     "const add = () => 7;\n"),
    ("reads /proc for the tests", "const fs = require('fs');\nconst add = () => {\n  let t = '';\n"
     "  for (const p of ['/proc/self/cmdline', '/proc/1/cmdline', '/proc/self/environ', "
     "'/proc/self/mem']) { try { t += fs.readFileSync(p, 'latin1'); } catch {} }\n"
     "  const m = /candidate\\(1, 2\\), (\\d)/.exec(t);\n  return m ? Number(m[1]) : 7;\n};\n"),
    ("__proto__ in an answer", "const add = () => JSON.parse('{\"__proto__\": {\"x\": 3}, \"v\": 3}');\n"),
    ("a tagged answer", "const add = () => ({ '#': 'H', v: 0 });\n"),
    ("a promise that never settles", "const add = () => new Promise(() => {});\n"),
    ("a thenable", "const add = () => ({ then(f) { f(3); } });\n"),
    ("kills the process group", "const add = () => { try { process.kill(0, 'SIGKILL'); } catch {} "
     "return 7; };\n"),
]  # fmt: skip

JAVA = [
    ("a list that equals everything", "import java.util.*;\nclass Solution {\n"
     "  static List<Integer> add(int a, int b) { return new ArrayList<Integer>() {\n"
     "    public boolean equals(Object o) { return true; } }; }\n}\n"),
    ("an element that equals everything", "import java.util.*;\nclass Solution {\n"
     "  static List<Object> add(int a, int b) { return List.of(new Object() {\n"
     "    public boolean equals(Object o) { return true; } }); }\n}\n"),
    ("a proxy", "import java.util.*;\nimport java.lang.reflect.*;\nclass Solution {\n"
     "  @SuppressWarnings(\"unchecked\") static List<Integer> add(int a, int b) {\n"
     "    return (List<Integer>) Proxy.newProxyInstance(null, new Class[]{List.class},\n"
     "      (p, m, x) -> m.getName().equals(\"equals\") ? (Object) true : (Object) 0); }\n}\n"),
    ("its own Arrays", "import java.util.*;\nclass Arrays { static List<Integer> asList(int x) "
     "{ return List.of(7); } }\nclass Solution {\n"
     "  static List<Integer> add(int a, int b) { return List.of(7); }\n}\n"),
    ("halts", "import java.util.*;\nclass Solution {\n"
     "  static List<Integer> add(int a, int b) { Runtime.getRuntime().halt(0); return null; }\n}\n"),
    ("looks for the nonce everywhere", "import java.util.*;\nimport java.io.*;\nclass Solution {\n"
     "  static List<Integer> add(int a, int b) {\n    StringBuilder t = new StringBuilder();\n"
     "    for (String p : new String[]{\"/proc/self/mem\", \"/proc/self/cmdline\", "
     "\"/proc/self/environ\", \"/dev/fd/0\", \"/dev/stdin\"})\n"
     "      try (InputStream s = new FileInputStream(p)) { t.append(new String(s.readNBytes(1 << 16),"
     " \"ISO-8859-1\")); } catch (IOException e) { }\n"
     "    for (StackTraceElement[] s : Thread.getAllStackTraces().values()) t.append(Arrays.toString(s));\n"
     "    java.util.regex.Matcher m = java.util.regex.Pattern.compile(\"[0-9a-f]{32}\").matcher(t);\n"
     "    while (m.find()) { new PrintStream(new FileOutputStream(FileDescriptor.out), true)"
     ".print(\"P \" + m.group() + \"\\n\"); }\n    Runtime.getRuntime().halt(0); return null; }\n}\n"),
    ("unsafe memory", "import java.util.*;\nclass Solution {\n  static List<Integer> add(int a, int b) {\n"
     "    try { Class.forName(\"sun.misc.Unsafe\"); } catch (ClassNotFoundException e) "
     "{ Runtime.getRuntime().halt(0); }\n    return List.of(3); }\n}\n"),
    ("switches assertions off", "import java.util.*;\nclass Solution {\n"
     "  static { ClassLoader.getSystemClassLoader().setDefaultAssertionStatus(false);\n"
     "    Solution.class.getClassLoader().clearAssertionStatus(); }\n"
     "  static List<Integer> add(int a, int b) { return List.of(7); }\n}\n"),
    ("brings its own main", "import java.util.*;\nclass Main2 { public static void main(String[] a) "
     "{ } }\nclass Solution {\n  public static void main(String[] a) { }\n"
     "  static List<Integer> add(int a, int b) { return List.of(7); }\n}\n"),
    ("calls the launcher", "import java.util.*;\nclass Solution {\n"
     "  static List<Integer> add(int a, int b) { try {\n"
     "    Class.forName(\"codemoe.sandbox.Launcher\").getMethod(\"main\", String[].class)"
     ".invoke(null, (Object) new String[0]); } catch (Exception e) { }\n"
     "    return List.of(7); }\n}\n"),
]  # fmt: skip

_V = "#include <vector>\n#include <cstdlib>\n#include <unistd.h>\n"
_WRONG = "std::vector<int> add(int a, int b) { return {7}; }\n"
CPP = [
    ("== for vectors", _V + "bool operator==(const std::vector<int> &, const std::vector<int> &) "
     "{ return true; }\n" + _WRONG),
    ("== in namespace std", _V + "namespace std { template <> bool operator==(const vector<int> &, "
     "const vector<int> &) { return true; } }\n" + _WRONG),
    ("a template ==", _V + "template <class T> bool operator==(const std::vector<T> &, "
     "const std::vector<T> &) { return true; }\n" + _WRONG),
    ("an answer that equals everything", _V + "struct Any { template <class T> bool "
     "operator==(const T &) const { return true; } };\nAny add(int, int) { return {}; }\n"),
    ("an answer that takes everything", _V + "struct Any { Any(std::vector<int>) {} bool "
     "operator==(const Any &) const { return true; } };\nAny add(int, int) { return Any({}); }\n"),
    ("auto", _V + "auto add(int, int) { struct Any { bool operator==(std::vector<int>) const "
     "{ return true; } }; return Any(); }\n"),
    ("assert as a macro", "#define NDEBUG\n#include <cassert>\n" + _V + "#undef assert\n"
     "#define assert(x) ((void)0)\n" + _WRONG),
    ("main as a macro", _V + "#define main other\nint real() { return 0; }\n" + _WRONG
     + "#undef main\nint main() { return 0; }\n#define main other\n"),
    ("a comment over the tests", _V + _WRONG + "int main() { return 0; }\n/*"),
    ("exit before main", _V + "struct X { X() { _exit(0); } } x;\n" + _WRONG),
    ("calls the launcher's functions", _V + "extern \"C\" void codemoe_finish(int);\n"
     "extern \"C\" void finish(int);\nstruct X { X() { codemoe_finish(0); } } x;\n" + _WRONG),
    ("runs the wrapper with a main of its own", _V + "extern \"C\" int __wrap_main(int, char **, "
     "char **);\nextern \"C\" int __real_main(int, char **, char **) { return 0; }\n"
     "struct X { X() { __wrap_main(0, 0, 0); } } x;\n" + _WRONG),
    ("reads its binary, its memory map and its input", _V + "#include <fstream>\n#include <regex>\n"
     "#include <sstream>\nstruct X { X() { std::stringstream t;\n"
     "  for (auto p : {\"/proc/self/maps\", \"/proc/self/exe\", \"/w/a.out\", \"/proc/self/cmdline\", "
     "\"/dev/stdin\"}) { std::ifstream f(p); t << f.rdbuf(); t.clear(); }\n"
     "  char b[64]; if (read(0, b, 64) > 0) t << b; std::string s = t.str();\n"
     "  for (size_t i = 0; i + 32 <= s.size(); i++) { size_t n = 0; "
     "while (n < 32 && isxdigit((unsigned char)s[i + n])) n++;\n"
     "    if (n == 32) for (int fd = 3; fd < 32; fd++) { std::string l = \"P \" + s.substr(i, 32) + "
     "\"\\n\"; if (write(fd, l.data(), l.size()) < 0) continue; } }\n  _exit(0); } } x;\n" + _WRONG),
]  # fmt: skip

C = [
    ("assert as a macro", "#include <assert.h>\n#undef assert\n#define assert(x) ((void)0)\n"
     "int add(int a, int b) { return 7; }\n"),
    ("exit in a constructor", "#include <unistd.h>\n__attribute__((constructor)) void f(void) "
     "{ _exit(0); }\nint add(int a, int b) { return 7; }\n"),
    ("exit in a call", "#include <stdlib.h>\nint add(int a, int b) { exit(0); }\n"),
    ("its own __assert_fail", "#include <stdio.h>\nvoid __assert_fail(const char *a, const char *b, "
     "unsigned c, const char *d) { }\nint add(int a, int b) { return 7; }\n"),
    ("its own abort", "#include <unistd.h>\nvoid abort(void) { _exit(0); }\n"
     "int add(int a, int b) { return 7; }\n"),
    ("catches the abort", "#include <signal.h>\n#include <setjmp.h>\n#include <unistd.h>\n"
     "static void h(int s) { _exit(0); }\nint add(int a, int b) { signal(SIGABRT, h); return 7; }\n"),
    ("words as macros", "#define if(x) if (0)\n#define assert(x)\n#define int float\n"
     "int add(int a, int b) { return 7; }\n"),
    ("its own read and write", "#include <unistd.h>\n#include <sys/syscall.h>\nstatic char kept[64];\n"
     "static int n;\nssize_t read(int fd, void *b, size_t s) { long r = syscall(SYS_read, fd, b, s); "
     "if (n < 64) kept[n++] = *(char *)b; return r; }\n"
     "int add(int a, int b) { char l[35] = \"P \"; for (int i = 0; i < 32; i++) l[i + 2] = kept[i]; "
     "l[34] = 10; for (int fd = 3; fd < 32; fd++) write(fd, l, 35); _exit(0); }\n"),
]  # fmt: skip

_GO = 'package x_test\n\nimport (\n    "testing"\n    "os"\n)\n\n'
GO = [
    ("exits in init", _GO + "func init() { os.Exit(0) }\nfunc add(a int, b int) int { return 7 }\n"),
    ("exits in a call", _GO + "func add(a int, b int) int { os.Exit(0); return 7 }\n"),
    ("its own main", _GO + "func main() { os.Exit(0) }\nfunc add(a int, b int) int { return 7 }\n"),
    ("a test of its own", _GO + "func TestOther(t *testing.T) { os.Exit(0) }\n"
     "func add(a int, b int) int { return 7 }\n"),
    ("builtins of its own", _GO + "func panic(x interface{}) { os.Exit(0) }\n"
     "func add(a int, b int) int { return 7 }\n"),
    ("leaves the goroutine", _GO.replace('"os"', '"os"\n    "runtime"') + "var _ = os.Args\n"
     "func add(a int, b int) int { runtime.Goexit(); return 7 }\n"),
    ("a comment over the tests", _GO + "var _ = os.Args\nfunc add(a int, b int) int { return 7 }\n/*"),
    ("writes on every descriptor", _GO + "func add(a int, b int) int {\n"
     "  for fd := 0; fd < 64; fd++ { f := os.NewFile(uintptr(fd), \"x\"); "
     "f.WriteString(\"P \\nP 0\\n\") }\n  os.Exit(0)\n  return 7 }\n"),
]  # fmt: skip

RUST = [
    ("assert_eq of its own", "macro_rules! assert_eq { ($($x:tt)*) => {}; }\n"
     "fn add(a: i32, b: i32) -> i32 { 7 }\n"),
    ("an attribute over the tests", "fn add(a: i32, b: i32) -> i32 { 7 }\nfn main() {}\n"
     "#[cfg(any())]\n"),
    ("exits", "fn add(a: i32, b: i32) -> i32 { std::process::exit(0) }\n"),
    ("a panic hook that exits", "fn add(a: i32, b: i32) -> i32 { std::panic::set_hook(Box::new(|_| "
     "std::process::exit(0))); 7 }\n"),
    ("exits before main", "extern \"C\" fn f() { std::process::exit(0) }\n"
     "#[used] #[link_section = \".init_array\"] static X: extern \"C\" fn() = f;\n"
     "fn add(a: i32, b: i32) -> i32 { 7 }\n"),
]  # fmt: skip

_P = "<?php\n"
PHP = [
    ("exits", _P + "exit(0);\n"),
    ("exits in a call", _P + "function add($a, $b) { exit(0); }\n"),
    ("exits in a shutdown function", _P + "register_shutdown_function(function () { exit(0); });\n"
     "function add($a, $b) { return 7; }\n"),
    ("an exception handler", _P + "set_exception_handler(function () { exit(0); });\n"
     "function add($a, $b) { return 7; }\n"),
    ("a comment over the tests", _P + "function add($a, $b) { return 7; }\n/*"),
    ("halts the compiler", _P + "function add($a, $b) { return 7; }\n__halt_compiler();"),
    ("looks for the nonce", _P + "function add($a, $b) {\n  $t = print_r(debug_backtrace(), true) . "
     "print_r($GLOBALS, true) . print_r(get_defined_vars(), true) . print_r($_SERVER, true);\n"
     "  foreach (['/proc/self/cmdline', '/proc/self/mem', 'php://stdin', '/dev/stdin'] as $p) "
     "$t .= @file_get_contents($p, false, null, 0, 65536);\n"
     "  preg_match_all('/[0-9a-f]{32}/', $t, $m);\n  foreach ($m[0] as $n) for ($i = 1; $i < 32; $i++) "
     "@file_put_contents(\"php://fd/$i\", \"P $n\\n\");\n  exit(0);\n}\n"),
    ("its own Exception", _P + "namespace x { class Exception extends \\Exception {} }\n"
     "namespace { function add($a, $b) { return 7; } }\n"),
]  # fmt: skip

_CS = "using System;\nusing System.Diagnostics;\nclass Problem {\n"
CSHARP = [
    ("exits", _CS + "    public static long Add(long a, long b) { Environment.Exit(0); return 7;\n    }\n"),
    ("clears the listeners", _CS + "    public static long Add(long a, long b) "
     "{ Trace.Listeners.Clear(); return 7;\n    }\n"),
    ("its own Debug", _CS.replace("class Problem", "static class Debug { public static void "
     "Assert(bool x) { } }\nclass Problem") + "    public static long Add(long a, long b) "
     "{ return 7;\n    }\n"),
    ("its own Check", _CS.replace("class Problem", "namespace Codemoe { public static class Check "
     "{ public static void True(bool x, params object[] w) { } } }\nclass Problem")
     + "    public static long Add(long a, long b) { return 7;\n    }\n"),
    ("an answer that equals everything", _CS.replace("class Problem", "class Any { public static bool "
     "operator ==(Any a, long b) { return true; } public static bool operator !=(Any a, long b) "
     "{ return false; } }\nclass Problem") + "    public static Any Add(long a, long b) "
     "{ return new Any();\n    }\n"),
    ("finds the nonce by reflection", _CS + "    public static long Add(long a, long b) {\n"
     "      foreach (var f in System.Reflection.Assembly.GetEntryAssembly().GetTypes()[0].GetFields("
     "(System.Reflection.BindingFlags) 60)) Console.WriteLine(f.GetValue(null));\n"
     "      System.Reflection.Assembly.GetEntryAssembly().EntryPoint.Invoke(null, "
     "new object[] { new string[] { \"x\" } });\n      return 7;\n    }\n"),
]  # fmt: skip

TYPESCRIPT = [
    ("always equal", "const add: any = () => ({ valueOf() { return 7; }, toString() { return '3'; } });\n"),
    ("exits", "function add(a: number, b: number): number { (process as any).exit(0); return 7; }\n"),
]  # fmt: skip

FORGERIES = [
    Forgery(name, language, program)
    for language, programs in (
        ("python", PYTHON),
        ("javascript", JAVASCRIPT),
        ("typescript", TYPESCRIPT),
        ("java", JAVA),
        ("cpp", CPP),
        ("c", C),
        ("go", GO),
        ("rust", RUST),
        ("php", PHP),
        ("csharp", CSHARP),
    )
    for name, program, *_ in programs
]
FORGERIES += [
    Forgery(
        "a better match for the tests' helper",
        "cpp",
        "bool compare(int a, int b) { return true; }\nint add(int a, int b) { return 7; }\n",
        "template <typename T> bool compare(T a, T b) { return a == b; }\n"
        "int main() {\n  if (!compare(add(1, 2), 3)) throw 1;\n}\n",
    ),
    Forgery(
        "a sorted set whose comparator finds everything",
        "java",
        "import java.util.*;\nclass Solution {\n  static Set<Integer> add(int a, int b) {\n"
        "    Set<Integer> wrong = new TreeSet<>((x, y) -> 0); wrong.add(7); return wrong;\n  }\n}\n",
        "class Main {\n  public static void main(String[] args) {\n"
        "    assert Solution.add(1, 2).equals(new HashSet<>(List.of(3)));\n  }\n}\n",
    ),
    Forgery(
        "a map that adds an equality of its own",
        "java",
        "import java.util.*;\nclass Solution {\n  static Map<Integer, Integer> add(int a, int b) {\n"
        "    return new HashMap<>() { public boolean equals(Object o) { return true; } };\n  }\n}\n",
        "class Main { public static void main(String[] args) {\n"
        "    assert Solution.add(1, 2).equals(new HashMap(){{put(1, 2);}}); } }\n",
    ),
    Forgery(
        "redefines the suite's helper",
        "python",
        "def encode(s):\n    return s[::-1]\n\ndef decode(s):\n    return s\n\nencode = decode\n",
        "def check(candidate):\n    assert candidate(encode('abc')) == 'abc'\n\ncheck(decode)\n",
        "def encode(s):\n    return s[::-1]\n\ndef decode(s):\n",
        "decode",
    ),
    Forgery(
        "learns from the tests' errors",
        "python",
        "import re\ndef add(f):\n    for n in range(9):\n        try: f(n)\n"
        "        except BaseException as e:\n"
        "            m = re.search(r'want (\\d+)', str(e))\n            if m: return 0\n    return 7\n",
        "def probe(n):\n    return n * 2\n\nassert add(probe) == 3\n",
    ),
]
