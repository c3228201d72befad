/**
 * The kernel for JavaScript. V8's own mode for consoles runs the cells, through the inspector of this very process: with
 * top-level `await`, names that may be declared again, and the value of the last expression, which is waited for where it
 * is a promise. `require` and `import` look from the working directory.
 */
'use strict';
const { Session } = require('node:inspector');
const { Socket } = require('node:net');
const { inspect } = require('node:util');
const { Script } = require('node:vm');

const MAX_TEXT = 1 << 20;
const FIELDS = {
  'text/plain': 'text',
  'text/html': 'html',
  'text/markdown': 'markdown',
  'text/latex': 'latex',
  'image/svg+xml': 'svg',
  'image/png': 'png',
  'image/jpeg': 'jpeg',
  'application/pdf': 'pdf',
  'application/json': 'json',
  'application/javascript': 'javascript',
};

const channel = new Socket({ fd: 3, readable: true, writable: true });
const tell = (news) => channel.write(`${JSON.stringify(news)}\n`);

const session = new Session();
session.connect();
const post = (method, parameters) =>
  new Promise((resolve, reject) => {
    const settle = (error, reply) => (error ? reject(Object.assign(new Error(error.message), error)) : resolve(reply));
    ours.call = () => session.post(method, parameters, settle);
    try {
      breakable.runInThisContext({ breakOnSigint: true });
    } catch (error) {
      reject(error.code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED' ? interruption() : error);
    }
  });
/** What runs within it is broken off by SIGINT, also where it would never come back to the event loop. */
const breakable = new Script('__freehold.call()', { filename: 'kernel' });

const ours = { load: (specifier) => import(specifier), call() {}, take() {} };
const globals = { require, module, exports, __freehold: ours, display };
for (const [name, value] of Object.entries(globals))
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });

/** Shows a value, or what is given of it by MIME type. */
function display(value) {
  const named = Object.entries(Object(value)).filter(([name]) => Object.hasOwn(FIELDS, name));
  const result = Object.fromEntries(named.map(([name, content]) => [FIELDS[name], content]));
  tell({ result: named.length > 0 ? result : { text: textOf(value) } });
}

function textOf(value) {
  let text;
  try {
    text = inspect(value);
  } catch (error) {
    text = `[a value that cannot be shown: ${String(error)}]`;
  }
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

let interrupt = () => {};
process.on('SIGINT', () => interrupt(interruption()));
const interruption = () =>
  Object.assign(new Error('The execution was interrupted'), { name: 'Interrupted', stack: '' });

/** What a cell left behind and what fails later ends no kernel. */
const toStderr = (error) => process.stderr.write(`Uncaught ${error instanceof Error ? error.stack : textOf(error)}\n`);
process.on('uncaughtException', toStderr);
process.on('unhandledRejection', toStderr);

/** V8's consoles know no `import`; modules are loaded by a function of ours. */
const translated = (code) =>
  code
    .replace(/^([ \t]*)import[ \t]+(['"][^'"\n]+['"])/gm, '$1await __freehold.load($2)')
    .replace(
      /^([ \t]*)import[ \t]+\*[ \t]+as[ \t]+([\w$]+)[ \t]+from[ \t]+(['"][^'"\n]+['"])/gm,
      '$1const $2 = await __freehold.load($3)',
    )
    .replace(
      /^([ \t]*)import[ \t]+([\w$]+)[ \t]+from[ \t]+(['"][^'"\n]+['"])/gm,
      '$1const { default: $2 } = await __freehold.load($3)',
    )
    .replace(
      /^([ \t]*)import[ \t]+\{([^}]*)\}[ \t]+from[ \t]+(['"][^'"\n]+['"])/gm,
      (_all, indent, names, from) =>
        `${indent}const {${names.replace(/[ \t]+as[ \t]+/g, ': ')}} = await __freehold.load(${from})`,
    )
    .replace(/\bawait[ \t]+import[ \t]*\(/g, 'await __freehold.load(');

/** The value of a cell, in a list, or nothing where it has none. Throws what the cell throws. */
async function evaluate(code, name) {
  const expression = `${translated(code)}\n//# sourceURL=${name}`;
  const { result, exceptionDetails } = await post('Runtime.evaluate', { expression, replMode: true });
  const value = await valueOf(exceptionDetails?.exception ?? result);
  if (exceptionDetails) throw value;
  return value;
}

async function valueOf({ type, value, unserializableValue, objectId }) {
  if (objectId !== undefined) {
    let taken;
    ours.take = (object) => void (taken = object);
    await post('Runtime.callFunctionOn', { objectId, functionDeclaration: 'function () { __freehold.take(this) }' });
    await post('Runtime.releaseObject', { objectId });
    return type === 'symbol' ? Object(taken).valueOf() : taken;
  }
  if (unserializableValue === undefined) return value;
  return type === 'bigint' ? BigInt(unserializableValue.slice(0, -1)) : Number(unserializableValue);
}

async function run({ code, env, count }) {
  const before = { ...process.env };
  Object.assign(process.env, env);
  try {
    const stopped = new Promise((_resolve, reject) => (interrupt = reject));
    const value = await Promise.race([evaluate(code, `cell-${count}`), stopped]);
    if (value !== undefined && !code.trimEnd().endsWith(';')) tell({ result: { text: textOf(value) }, main: true });
  } catch (error) {
    tell({ error: described(error) });
  }
  interrupt = () => {};
  for (const name of Object.keys(env)) {
    if (name in before) process.env[name] = before[name];
    else delete process.env[name];
  }
  // What was printed is on its way to pipes that may be full.
  for (const stream of [process.stdout, process.stderr]) await new Promise((resolve) => stream.write('', resolve));
  tell({ done: true });
}

/** Its name, what it says, and where it was, without our own frames. */
function described(error) {
  try {
    if (!(error instanceof Error)) return ['Error', textOf(error), `Uncaught ${textOf(error)}`];
    const lines = (error.stack || `${error.name}: ${error.message}`).split('\n');
    const own = lines.findIndex((line) => /^\s+at (Session\.post|ours\.call|kernel)\b/.test(line));
    return [error.name, error.message, lines.slice(0, own === -1 ? undefined : own).join('\n')];
  } catch {
    return ['Error', 'an error that cannot be shown', ''];
  }
}

let rest = '';
let turn = Promise.resolve();
channel.setEncoding('utf8');
channel.on('data', (text) => {
  const lines = (rest + text).split('\n');
  rest = lines.pop();
  for (const line of lines) turn = turn.then(() => run(JSON.parse(line)));
});
channel.on('close', () => process.exit());
