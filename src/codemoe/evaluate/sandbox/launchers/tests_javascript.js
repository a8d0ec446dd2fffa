// Runs test after test; the candidates are in other processes.
//
// Frames on both standard streams: kind, number of the job, length, content. In come J (a job), R
// (bytes of the candidate) and E (the candidate's end); out go C (bytes for the candidate), V (the
// verdict) and W (the verdict, and this process ends: something of the tests still runs in it).
{
  const vm = require('vm');
  const assert = require('assert');
  const { Channel, Peer, fs } = codemoe;
  const { AssertionError } = assert;
  const stream = new Channel(0, 1);
  const exit = process.reallyExit.bind(process);
  const quiet = new Proxy({}, { get: (_, name) => (name === 'assert' ? claim : () => {}) });
  const claim = (ok, ...message) => {
    if (!ok) throw new AssertionError({ message: message.map(String).join(' ') || 'console.assert' });
  };
  for (const name of ['stdout', 'stderr']) {
    Object.defineProperty(process, name, { get: () => ({ write: () => true }) });
  }
  class Exit extends Error {}
  process.exit = (code) => { throw new Exit(String(code || process.exitCode || 0)); };

  const put = (kind, job, content) => {
    const header = Buffer.alloc(9);
    header.write(kind, 0, 'latin1');
    header.writeUInt32BE(job, 1);
    header.writeUInt32BE(content.length, 5);
    stream.write(Buffer.concat([header, content]));
  };
  const frame = () => {
    const header = stream.take(9);
    if (header === null) exit(0);
    const body = stream.take(header.readUInt32BE(5));
    if (body === null) exit(0);
    return [header.toString('latin1', 0, 1), header.readUInt32BE(1), body];
  };

  // The candidate's channel, by way of the harness.
  class Pipe extends Channel {
    constructor(job) {
      super(-1, -1);
      this.job = job;
      this.gone = false;
    }

    take(size) {
      while (this.rest.length < size) {
        if (this.gone) return null;
        const [kind, job, body] = frame();
        if (job !== this.job) continue;
        if (kind === 'E') this.gone = true;
        this.rest = Buffer.concat([this.rest, body]);
      }
      const data = this.rest.subarray(0, size);
      this.rest = this.rest.subarray(size);
      return data;
    }

    write(data) {
      put('C', this.job, data);
    }
  }

  class Tests extends Peer {
    perform(operation, target, args) {
      if (operation !== 'call') throw new TypeError('not offered');
      return super.perform(operation, target, args);
    }
  }

  // Where lodash is not installed, its one function that suites compare with. Like the original
  // it compares arrays regardless of their order once it is inside a set or a map.
  const isEqual = (a, b, anyOrder = false) => {
    if (a === b || (a !== a && b !== b)) return true;
    if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false;
    if (Object.prototype.toString.call(a) !== Object.prototype.toString.call(b)) return false;
    if (a instanceof Set || a instanceof Map) return a.size === b.size && isEqual([...a], [...b], true);
    if (Array.isArray(a)) {
      if (a.length !== b.length) return false;
      if (!anyOrder) return a.every((item, i) => isEqual(item, b[i]));
      const left = [...b];
      return a.every((item) => {
        const at = left.findIndex((other) => isEqual(item, other, true));
        if (at >= 0) left.splice(at, 1);
        return at >= 0;
      });
    }
    const plain = (value) => [Object.prototype, null].includes(Object.getPrototypeOf(value));
    if (!plain(a) || !plain(b)) return require('util').isDeepStrictEqual(a, b);
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length
      && keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key], b[key], anyOrder));
  };
  const modules = (name) => {
    try {
      return require(name);
    } catch (error) {
      if (name === 'lodash' && error.code === 'MODULE_NOT_FOUND') return { isEqual };
      throw error;
    }
  };

  const builtin = new Set(Object.getOwnPropertyNames(globalThis));
  const GIVEN = ['require', 'module', 'exports', 'console'];
  const RESERVED = new Set(('await break case catch class const continue debugger default delete do '
    + 'else enum export extends false finally for function if import in instanceof new null return '
    + 'super switch this throw true try typeof var void while with yield let static async of '
    + 'undefined arguments eval NaN Infinity').split(' '));
  const IDENTIFIER = /[\p{ID_Start}$_][\p{ID_Continue}$]*/gu;
  const REQUIRED = /(?:const|let|var)\s+([\w$]+)\s*=\s*require\(\s*["']([^"']+)["']\s*\)/g;

  let job = 0, over = true, pipe, peer, lines = [];
  const GONE = 'G the program ended before its tests did';

  const describe = (error) => {
    try {
      if (error instanceof Error) return `${error.name}: ${error.message}`;
      return String(error);
    } catch {
      return 'an error that cannot be shown';
    }
  };
  const lineOf = (place) => lines[Number((/tests\.js:(\d+)/.exec(place) || [])[1]) - 1] || '';
  const judge = (error) => {
    if (pipe.gone) return GONE;
    let kind = 'E';
    if (error instanceof Exit) return error.message === '0' ? GONE : `E the tests exited with ${error.message}`;
    const own = error instanceof Error && !peer.remoteErrors.has(error);
    const place = own && /\n\s+at [^\n]*/.exec(String(error.stack));
    const inTests = place && place[0].includes('tests.js');
    if (own && error instanceof AssertionError) kind = 'F';
    else if (!(error instanceof Error)) kind = 'F';
    else if (inTests && error.constructor === Error) kind = 'F'; // suites throw by hand
    // MBXP names a variable that does not exist in the text that it throws.
    else if (inTests && error instanceof ReferenceError && /\bthrow\b/.test(lineOf(place[0]))) kind = 'F';
    else if (/Array buffer allocation failed|Invalid string length/.test(error.message)) kind = 'O';
    return `${kind} ${describe(error).slice(0, 600)}`;
  };
  const finish = (kind, text) => {
    if (over) return;
    over = true;
    put(kind, job, Buffer.from(text, 'utf8'));
    if (kind === 'W') exit(0);
  };
  process.setUncaughtExceptionCaptureCallback((error) => finish('W', judge(error)));

  const run = (program, tests, entry) => {
    lines = tests.split('\n');
    const mentioned = new Set(tests.match(IDENTIFIER) || []);
    const names = [...mentioned]
      .filter((name) => !RESERVED.has(name) && !GIVEN.includes(name))
      .filter((name) => !builtin.has(name) || name === entry)
      .map((name) => [name, name === entry]);
    const preload = [...tests.matchAll(REQUIRED)].map((match) => [match[1], match[2]]);
    const found = peer.ask('load', 0, [program, names, preload]);
    const wanted = new Set(names.map(([name]) => name));
    const given = found.filter(([name]) => wanted.has(name));
    // A function around the tests' own, so that they may declare the same names again.
    const outer = vm.compileFunction(`return function () {${tests}\n}`,
      [...GIVEN, ...given.map(([name]) => name)], { filename: 'tests.js' });
    const module = { exports: {} };
    outer(modules, module, module.exports, quiet, ...given.map(([, value]) => value)).call(globalThis);
    // Let the candidate come to rest: what it left to run may not end.
    peer.ask('load', 0, ['', [], []]);
  };
  const next = () => {
    while (true) {
      const [kind, number, body] = frame();
      if (kind !== 'J') continue; // late bytes of a candidate whose tests are over
      job = number;
      over = false;
      pipe = new Pipe(job);
      peer = new Tests(pipe);
      peer.gone = new Error('the candidate is gone');
      try {
        const [program, tests, entry] = JSON.parse(body.toString('utf8'));
        run(program, tests, entry);
      } catch (error) {
        finish('V', judge(error));
        continue;
      }
      setImmediate(() => {}); // and then, when all is done, beforeExit
      return;
    }
  };
  process.on('beforeExit', () => {
    finish('V', pipe && pipe.gone ? GONE : 'P');
    next();
  });
  next();
}
