// Plain data between the tests' process and the candidate's: both start with this text.
//
// A message is JSON in which {"#": tag} stands for what JSON has no word for. Functions and
// instances of classes stay where they are and travel as handles; an instance brings a copy of its
// properties along. Arrays, objects, maps and sets keep their identity: one that was sent and comes
// back is the same object again, with what was changed in it.
'use strict';
const codemoe = (() => {
  const fs = require('fs');
  // What a candidate does to the built-in objects later is its own affair.
  const { stringify, parse } = JSON;
  const { isArray, from } = Array;
  const { getPrototypeOf, setPrototypeOf, defineProperty, keys, create } = Object;
  const getNames = Object.getOwnPropertyNames;
  const { apply, construct } = Reflect;
  const objectPrototype = Object.prototype;
  const MapClass = Map, SetClass = Set, DateClass = Date, ErrorClass = Error, RegExpClass = RegExp;
  const PromiseClass = Promise, BufferClass = Buffer, WeakMapClass = WeakMap, WeakSetClass = WeakSet;
  const TypedArray = getPrototypeOf(Uint8Array);
  const errors = { Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError };
  const typed = { Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array,
    Uint32Array, Float32Array, Float64Array, BigInt64Array, BigUint64Array };
  const DEPTH = 2000;
  const set = (target, key, value) => defineProperty(
    target, key, { value, writable: true, enumerable: true, configurable: true });

  class Writer {
    constructor(peer, known) {
      this.peer = peer;
      this.known = new MapClass(known);
      this.alive = [];
    }

    number(value) {
      this.known.set(value, this.known.size);
      this.alive.push(value);
    }

    put(value, depth = 0) {
      if (depth > DEPTH) throw new RangeError('data nested too deeply');
      switch (typeof value) {
        case 'string': case 'boolean': return value;
        case 'number':
          if (Number.isFinite(value) && !Object.is(value, -0)) return value;
          return { '#': 'f', v: Object.is(value, -0) ? '-0' : String(value) };
        case 'undefined': return { '#': 'u' };
        case 'bigint': return { '#': 'n', v: String(value) };
        case 'symbol': return this.peer.handle(value);
        case 'function': return this.peer.handle(value);
      }
      if (value === null) return null;
      if (this.known.has(value)) return { '#': 'r', v: this.known.get(value) };
      const all = (list) => from(list, (item) => this.put(item, depth + 1));
      if (isArray(value)) {
        this.number(value);
        const items = [];
        for (let i = 0; i < value.length; i++) {
          items.push(i in value ? this.put(value[i], depth + 1) : { '#': '-' });
        }
        return { '#': 'a', v: items };
      }
      if (this.peer.isRemote(value)) return this.peer.handle(value);
      const prototype = getPrototypeOf(value);
      if (prototype === objectPrototype || prototype === null) {
        this.number(value);
        return { '#': prototype ? 'o' : 'O', v: this.entries(value, depth) };
      }
      if (value instanceof MapClass && prototype === MapClass.prototype) {
        this.number(value);
        return { '#': 'm', v: from(value, ([k, v]) => [this.put(k, depth + 1), this.put(v, depth + 1)]) };
      }
      if (value instanceof SetClass && prototype === SetClass.prototype) {
        this.number(value);
        return { '#': 's', v: all(value) };
      }
      if (value instanceof DateClass) return { '#': 'd', v: this.put(+value) };
      if (value instanceof RegExpClass) return { '#': 'x', v: [value.source, value.flags] };
      if (value instanceof TypedArray) {
        let name = value.constructor && value.constructor.name;
        if (BufferClass.isBuffer(value)) name = 'Buffer';
        if (name === 'Buffer' || typed[name]) return { '#': 'y', n: name, v: all(value) };
      }
      if (value instanceof ErrorClass) {
        this.number(value);
        return { '#': 'e', n: String(value.name), k: names(value), m: String(value.message),
          s: String(value.stack).slice(0, 2000), v: this.entries(value, depth) };
      }
      if (value instanceof String || value instanceof Number || value instanceof Boolean) {
        return { '#': 'b', v: this.put(value.valueOf(), depth + 1) };
      }
      this.number(value);
      const handle = this.peer.handle(value);
      handle['#'] = 'c';
      handle.v = this.entries(value, depth);
      return handle;
    }

    entries(value, depth) {
      return keys(value).map((key) => [key, this.put(value[key], depth + 1)]);
    }
  }

  const names = (error) => {
    const found = [];
    for (let at = getPrototypeOf(error); at && at !== objectPrototype; at = getPrototypeOf(at)) {
      if (at.constructor) found.push(at.constructor.name);
    }
    return found;
  };

  class Reader {
    constructor(peer, objects = []) {
      this.peer = peer;
      this.objects = objects;
    }

    known(value) {
      this.objects.push(value);
      return value;
    }

    get(value) {
      if (value === null || typeof value !== 'object') return value;
      const all = () => value.v.map((item) => this.get(item));
      switch (value['#']) {
        case 'f': return Number(value.v);
        case 'u': return undefined;
        case 'n': return BigInt(value.v);
        case 'r': return this.objects[value.v];
        case 'a': {
          const found = this.known([]);
          found.length = value.v.length;
          value.v.forEach((item, i) => {
            if (!(item !== null && typeof item === 'object' && item['#'] === '-')) set(found, i, this.get(item));
          });
          return found;
        }
        case 'o': return this.fill(this.known({}), value.v);
        case 'O': return this.fill(this.known(create(null)), value.v);
        case 'm': {
          const found = this.known(new MapClass());
          for (const [k, v] of value.v) found.set(this.get(k), this.get(v));
          return found;
        }
        case 's': {
          const found = this.known(new SetClass());
          for (const item of value.v) found.add(this.get(item));
          return found;
        }
        case 'd': return new DateClass(this.get(value.v));
        case 'x': return new RegExpClass(...value.v);
        case 'y': return value.n === 'Buffer' ? BufferClass.from(all()) : typed[value.n].from(all());
        case 'b': return Object(this.get(value.v));
        case 'e': {
          const kind = errors[value.k.find((name) => errors[name])] || ErrorClass;
          const found = this.known(new kind(value.m));
          if (value.n !== found.name) defineProperty(found, 'name', { value: value.n, configurable: true });
          defineProperty(found, 'stack', { value: value.s, configurable: true, writable: true });
          this.peer.remoteErrors.add(found);
          return this.fill(found, value.v);
        }
        case 'c': {
          const found = this.known(this.peer.remote(value));
          return value.v ? this.fill(found, value.v) : found;
        }
        case 'h': return this.peer.remote(value);
        case 'H': return this.peer.objects[value.v];
        default: throw new TypeError('unknown tag');
      }
    }

    fill(target, entries) {
      for (const [key, item] of entries) set(target, String(key), this.get(item));
      return target;
    }
  }

  const contentOf = (value) => {
    if (isArray(value)) return value.slice();
    if (value instanceof MapClass) return new MapClass(value);
    if (value instanceof SetClass) return new SetClass(value);
    const copy = {};
    for (const key of keys(value)) set(copy, key, value[key]);
    return copy;
  };

  const refill = (target, content) => {
    if (isArray(target) && isArray(content)) {
      target.length = 0;
      target.length = content.length;
      for (const key of keys(content)) target[key] = content[key];
    } else if (target instanceof MapClass && content instanceof MapClass) {
      target.clear();
      for (const [k, v] of content) target.set(k, v);
    } else if (target instanceof SetClass && content instanceof SetClass) {
      target.clear();
      for (const item of content) target.add(item);
    } else if (!isArray(target)) {
      for (const key of keys(target)) delete target[key];
      for (const key of keys(content)) set(target, key, content[key]);
    }
  };

  // Frames on two descriptors, blocking.
  class Channel {
    constructor(readFd, writeFd) {
      this.readFd = readFd;
      this.writeFd = writeFd;
      this.rest = BufferClass.alloc(0);
    }

    take(size) { // null at the end of the stream
      const parts = [this.rest];
      let have = this.rest.length;
      while (have < size) {
        const chunk = BufferClass.allocUnsafe(Math.max(1 << 16, size - have));
        const got = fs.readSync(this.readFd, chunk, 0, chunk.length, null);
        if (got === 0) return null;
        parts.push(chunk.subarray(0, got));
        have += got;
      }
      const data = parts.length === 1 ? parts[0] : BufferClass.concat(parts);
      this.rest = data.subarray(size);
      return data.subarray(0, size);
    }

    receive() {
      const header = this.take(4);
      const body = header && this.take(header.readUInt32BE(0));
      return body && body.toString('utf8');
    }

    send(text) {
      const body = BufferClass.from(text, 'utf8');
      const header = BufferClass.alloc(4);
      header.writeUInt32BE(body.length, 0);
      this.write(BufferClass.concat([header, body]));
    }

    write(data) {
      for (let at = 0; at < data.length;) at += fs.writeSync(this.writeFd, data, at);
    }
  }

  class Peer {
    constructor(channel) {
      this.channel = channel;
      this.objects = [];
      this.numbers = new MapClass();
      this.remotes = new WeakMapClass();
      this.remoteErrors = new WeakSetClass();
      this.classes = new MapClass();
    }

    isRemote(value) {
      return this.remotes.has(value);
    }

    handle(value) {
      const isObject = typeof value !== 'symbol';
      if (isObject && this.remotes.has(value)) return { '#': 'H', v: this.remotes.get(value) };
      if (!this.numbers.has(value)) {
        this.numbers.set(value, this.objects.length);
        this.objects.push(value);
      }
      const found = { '#': 'h', i: this.numbers.get(value), f: typeof value === 'function' };
      if (typeof value === 'function') {
        found.n = String(value.name);
        found.l = value.length;
      } else if (isObject) {
        found.n = String((value.constructor && value.constructor.name) || 'Object');
        const methods = new SetClass();
        for (let at = getPrototypeOf(value); at && at !== objectPrototype; at = getPrototypeOf(at)) {
          for (const key of getNames(at)) {
            let own;
            try { own = value[key]; } catch { continue; }
            if (key !== 'constructor' && typeof own === 'function') methods.add(key);
          }
        }
        found.m = from(methods);
        found.t = typeof value[Symbol.iterator] === 'function';
      }
      return found;
    }

    // A function that asks the other side, or a stand-in with the instance's methods.
    remote(handle) {
      const peer = this;
      let found;
      if (handle.f) {
        found = function (...args) {
          return peer.ask(new.target ? 'new' : 'call', handle.i, args);
        };
        defineProperty(found, 'name', { value: handle.n, configurable: true });
        defineProperty(found, 'length', { value: handle.l, configurable: true });
      } else {
        const id = stringify([handle.n, handle.m, handle.t]);
        if (!this.classes.has(id)) this.classes.set(id, this.standIn(handle));
        found = create(this.classes.get(id));
      }
      this.remotes.set(found, handle.i);
      return found;
    }

    standIn(handle) {
      const peer = this;
      const name = handle.n;
      const prototype = { [name]: class {} }[name].prototype;
      for (const method of handle.m || []) {
        if (method === 'then' || method === 'constructor') continue; // or it would be taken for a promise
        defineProperty(prototype, method, { configurable: true, writable: true, value(...args) {
          return peer.ask('method', peer.remotes.get(this), [method, ...args], this);
        } });
      }
      if (handle.t) {
        defineProperty(prototype, Symbol.iterator, { configurable: true, writable: true, * value() {
          const iterator = peer.ask('iterate', peer.remotes.get(this), []);
          while (true) {
            const [done, item] = peer.ask('next', peer.remotes.get(iterator), []);
            if (done) return;
            yield item;
          }
        } });
      }
      return prototype;
    }

    ask(operation, number, args, self) {
      const writer = new Writer(this);
      const text = stringify({ q: operation, n: number, a: writer.put(args) });
      this.channel.send(text);
      const objects = writer.alive.slice();
      while (true) {
        const received = this.channel.receive();
        if (received === null) throw this.gone;
        const message = parse(received);
        if (message.q !== undefined) {
          this.serve(received);
          continue;
        }
        const reader = new Reader(this, objects.slice());
        const value = reader.get(message.v);
        for (const [index, content] of message.c || []) {
          const fresh = reader.get(content);
          if (index < objects.length) refill(objects[index], fresh);
        }
        if (self && message.o) refill(self, reader.get(message.o));
        if (message.p) return message.x ? PromiseClass.reject(value) : PromiseClass.resolve(value);
        if (message.x) throw value;
        return value;
      }
    }

    // Answers one question; a promise is answered when it is settled, which `later` waits for.
    serve(received, later) {
      const message = parse(received);
      const reader = new Reader(this);
      let value, thrown = false, args, target;
      try {
        args = reader.get(message.a);
        target = this.objects[message.n];
        value = this.perform(message.q, target, args);
      } catch (error) {
        value = error;
        thrown = true;
      }
      const objects = reader.objects;
      const answer = (result, isError, isPromise) => {
        const reply = (what, error) => {
          const writer = new Writer(this, objects.map((one, i) => [one, i]));
          const found = { v: writer.put(what), x: error, p: isPromise };
          if (objects.length) {
            const now = stringify(new Writer(this).put(args));
            if (now !== stringify(message.a)) found.c = objects.map((one, i) => [i, writer.put(contentOf(one))]);
          }
          if (message.q === 'method') found.o = writer.put(contentOf(target));
          return stringify(found);
        };
        let text;
        try {
          text = reply(result, isError);
        } catch (error) {
          text = stringify({ v: new Writer(this).put(error), x: true });
        }
        this.channel.send(text);
        if (isPromise && later) later();
      };
      if (!thrown && later && value instanceof PromiseClass) {
        apply(PromiseClass.prototype.then, value,
          [(result) => answer(result, false, true), (error) => answer(error, true, true)]);
        return false;
      }
      answer(value, thrown, false);
      return true;
    }

    perform(operation, target, args) {
      switch (operation) {
        case 'call': return apply(target, undefined, args);
        case 'new': return construct(target, args);
        case 'method': return target[args[0]](...args.slice(1));
        case 'iterate': return { next: target[Symbol.iterator](), __proto__: Holder.prototype };
        case 'next': {
          const { done, value } = target.next.next();
          return [Boolean(done), value];
        }
        default: throw new TypeError(`unknown operation ${operation}`);
      }
    }
  }

  class Holder {}

  return { Channel, Peer, Writer, Reader, fs };
})();
