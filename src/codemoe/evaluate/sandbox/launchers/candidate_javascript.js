// Runs a candidate and answers the tests' calls; the tests are in another process.
{
  const vm = require('vm');
  const { Channel, Peer, fs } = codemoe;
  const ScriptClass = vm.Script;
  const { defineProperty } = Object;
  const immediately = setImmediate;
  const exit = process.reallyExit.bind(process);

  const [calls, result] = process.argv.slice(-2).map(Number);
  process.argv.splice(1);
  fs.writeSync(result, 'S\n');

  class Candidate extends Peer {
    perform(operation, target, args) {
      if (operation !== 'load') return super.perform(operation, target, args);
      const [program, names, preload] = args;
      const before = new Set(Object.getOwnPropertyNames(globalThis));
      for (const [name, module] of preload) {
        defineProperty(globalThis, name, { configurable: true, get: () => require(module) });
      }
      new ScriptClass(program, { filename: 'solution.js' }).runInThisContext();
      const found = [];
      for (const [name, always] of names) {
        if (before.has(name) && !always) continue;
        let value;
        try {
          value = new ScriptClass(name).runInThisContext();
        } catch {
          continue; // not defined
        }
        if (value !== undefined) found.push([name, value]);
      }
      return found;
    }
  }

  const candidate = new Candidate(new Channel(calls, result));
  globalThis.require = require;
  globalThis.module = { exports: {} };
  globalThis.exports = globalThis.module.exports;
  // One turn of the event loop between calls: what a program left to run, runs.
  const serve = () => {
    const message = candidate.channel.receive();
    if (message === null) exit(0);
    if (candidate.serve(message, () => immediately(serve))) immediately(serve);
  };
  immediately(serve);
}
