// Runs a candidate and then its tests as two scripts of one realm; started with `node -e`.
// What tests lean on (require, assert, console.assert, JSON, Object) is locked first. The nonce
// stays in a Buffer and is written only when the event loop has drained after the last test.
'use strict';
{
  const fs = require('fs');
  const vm = require('vm');
  const { writeSync } = fs;
  const exit = process.reallyExit.bind(process);
  const ScriptClass = vm.Script;
  const input = fs.readFileSync(0);
  const end = input.indexOf(10);
  const nonce = Buffer.from(input.subarray(0, 32));
  const [fd, length] = input.toString('latin1', 33, end).split(' ').map(Number);
  const program = input.toString('utf8', end + 1, end + 1 + length);
  const tests = input.toString('utf8', end + 1 + length);
  input.fill(0);
  writeSync(fd, 'S\n');

  const assert = require('assert');
  const { AssertionError } = assert;
  const ErrorClass = Error;
  const loadModule = require;
  for (const value of [assert, assert.strict, AssertionError, AssertionError.prototype,
    JSON, Object, Reflect, ScriptClass, ScriptClass.prototype,
    Object.getPrototypeOf(ScriptClass.prototype)]) Object.freeze(value);
  const lock = (object, name, value) => Object.defineProperty(
    object, name, { value, writable: false, configurable: false, enumerable: true });
  const asserts = { __proto__: null, assert, 'node:assert': assert,
    'assert/strict': assert.strict, 'node:assert/strict': assert.strict };
  lock(globalThis, 'require', Object.freeze((name) => asserts[name] || loadModule(name)));
  lock(console, 'assert', (ok, ...message) => {
    if (!ok) throw new AssertionError({ message: message.map(String).join(' ') || 'console.assert' });
  });

  const describe = (error) => {
    try {
      return String(error && error.stack ? error.stack.split('\n').slice(0, 6).join(' | ') : error);
    } catch {
      return 'an error that cannot be shown';
    }
  };
  const judge = (error) => {
    let kind = 'E';
    let text = describe(error);
    try {
      const own = error instanceof ErrorClass;
      const place = own && /\n\s+at [^\n]*/.exec(String(error.stack));
      if (error instanceof AssertionError || !own) kind = 'F';
      else if (error.constructor === ErrorClass && place && place[0].includes('tests.js')) kind = 'F';
      else if (/Array buffer allocation failed/.test(error.message)) kind = 'O';
      if (own && error.message) text = `${error.name}: ${error.message}`;
    } catch {
      kind = 'E';
    }
    writeSync(fd, `${kind} ${text.slice(0, 600).replace(/\n/g, ' ')}\n`);
    exit(1);
  };
  let finished = false;
  process.setUncaughtExceptionCaptureCallback(judge);
  lock(process, 'setUncaughtExceptionCaptureCallback', () => {});
  process.on('beforeExit', () => {
    if (!finished) return;
    writeSync(fd, Buffer.concat([Buffer.from('P '), nonce, Buffer.from('\n')]));
    exit(0);
  });
  try {
    const suite = new ScriptClass(tests, { filename: 'tests.js' });
    new ScriptClass(program, { filename: 'solution.js' }).runInThisContext();
    suite.runInThisContext();
    finished = true;
  } catch (error) {
    judge(error);
  }
}
