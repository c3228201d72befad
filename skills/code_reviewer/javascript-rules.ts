import type { Category, Severity } from './finding.ts';
import { child, children, isFunction, isNode, pathOf, textOf, type Node } from './javascript-tree.ts';
import { isSecret, SECRET_NAME } from './secrets.ts';

export type Report = (rule: string, severity: Severity, category: Category, message: string, at?: Node) => void;
type Rule = (node: Node, report: Report, parents: readonly Node[]) => void;

const LOOPS = new Set(['ForStatement', 'ForInStatement', 'ForOfStatement', 'WhileStatement', 'DoWhileStatement']);
const SHELL = /(^|\.)(exec|execSync)$/;
const QUERY = /(^|\.)(query|execute|raw|prepare|\$queryRawUnsafe|\$executeRawUnsafe)$/;
const SQL = /\b(select\s.+\sfrom|insert\s+into|update\s.+\sset|delete\s+from|drop\s+table)\b/is;
const MARKUP = /(^|\.)(innerHTML|outerHTML)$/;
/** A repetition of a repetition: such a pattern may take for ever. */
const NESTED_REPETITION = /\((?:[^()\\]|\\.)*[+*]\)[+*{]/;

/** Text that is put together out of parts, and the parts of it that stand there as they are. */
function assembled(node: Node | undefined): string | undefined {
  if (node?.type === 'TemplateLiteral' && children(node, 'expressions').length > 0)
    return children(node, 'quasis')
      .map((quasi) => (quasi['value'] as { raw?: string } | undefined)?.raw ?? '')
      .join('?');
  if (node?.type !== 'BinaryExpression' || node['operator'] !== '+') return undefined;
  const parts = [child(node, 'left'), child(node, 'right')].map((part) =>
    part?.type === 'StringLiteral' ? String(part['value']) : (assembled(part) ?? '?'),
  );
  return parts.every((part) => part === '?') ? undefined : parts.join('');
}

const isText = (node: Node | undefined): boolean => node?.type === 'StringLiteral' || node?.type === 'TemplateLiteral';

/** What is called, by what name, and with what first. */
type Call = { called: string; first: Node | undefined; second: Node | undefined };
type CallRule = [rule: string, severity: Severity, category: Category, holds: (call: Call) => boolean, message: string];

const CALLS: readonly CallRule[] = [
  ['eval', 'high', 'security', ({ called }) => called === 'eval', 'eval runs whatever its text says'],
  ['new-function', 'high', 'security', ({ called }) => called === 'Function', 'Function runs whatever its text says'],
  [
    'implied-eval',
    'high',
    'security',
    ({ called, first }) => /^(window\.)?set(Timeout|Interval)$/.test(called) && isText(first),
    'The text is run as by eval: give a function',
  ],
  [
    'shell-injection',
    'high',
    'security',
    ({ called, first }) => SHELL.test(called) && assembled(first) !== undefined,
    'The command is put together: use execFile with a list of arguments',
  ],
  [
    'document-write',
    'medium',
    'security',
    ({ called }) => /^document\.write(ln)?$/.test(called),
    'document.write puts markup into the page as it is',
  ],
  [
    'sql-injection',
    'high',
    'security',
    ({ called, first }) => QUERY.test(called) && SQL.test(assembled(first) ?? ''),
    'The statement is put together: give the values as parameters',
  ],
  [
    'weak-hash',
    'medium',
    'security',
    ({ called, first }) => /(^|\.)createHash$/.test(called) && /^(md5|sha1)$/i.test(textOf(first) ?? ''),
    'This hash is broken: use sha256',
  ],
  [
    'weak-cipher',
    'high',
    'security',
    ({ called }) => /(^|\.)createCipher$/.test(called),
    'createCipher derives its key badly: use createCipheriv',
  ],
  [
    'slow-pattern',
    'medium',
    'security',
    ({ called, first }) => /(^|\.)RegExp$/.test(called) && NESTED_REPETITION.test(textOf(first) ?? ''),
    'The pattern repeats a repetition: some texts take it for ever',
  ],
  ['console', 'info', 'style', ({ called }) => /^console\.(log|debug)$/.test(called), 'This is left in the code'],
  ['alert', 'low', 'style', ({ called }) => called === 'alert', 'alert stops the page'],
  [
    'radix',
    'low',
    'correctness',
    ({ called, second }) => called === 'parseInt' && !second,
    'parseInt without a radix reads 0x as well',
  ],
];
const IS_CALL = new Set(['CallExpression', 'OptionalCallExpression', 'NewExpression']);

const calls: Rule = (node, report) => {
  if (!IS_CALL.has(node.type)) return;
  const [first, second] = children(node, 'arguments');
  const call = { called: pathOf(child(node, 'callee')) ?? '', first, second };
  for (const [rule, severity, category, holds, message] of CALLS)
    if (holds(call)) report(rule, severity, category, message);
};

const assignments: Rule = (node, report) => {
  if (node.type !== 'AssignmentExpression') return;
  const target = pathOf(child(node, 'left')) ?? '';
  const value = child(node, 'right');
  if (MARKUP.test(target) && value?.type !== 'StringLiteral')
    report('inner-html', 'medium', 'security', `${target} takes markup as it is: use textContent`);
  if (/(^|\.)__proto__$/.test(target))
    report('proto', 'medium', 'security', '__proto__ changes what all objects share');
  if (value?.type === 'StringLiteral' && isSecret(target.split('.').pop() ?? '', String(value['value'])))
    report('hard-coded-secret', 'high', 'security', `${target} is a secret in the code: read it from the environment`);
};

const secretsAndChance: Rule = (node, report) => {
  const [name, value] =
    node.type === 'VariableDeclarator'
      ? [textOf(child(node, 'id')), child(node, 'init')]
      : node.type === 'ObjectProperty' || node.type === 'ClassProperty'
        ? [textOf(child(node, 'key')), child(node, 'value')]
        : [undefined, undefined];
  if (name === undefined || !value) return;
  if (value.type === 'StringLiteral' && isSecret(name, String(value['value'])))
    report('hard-coded-secret', 'high', 'security', `${name} is a secret in the code: read it from the environment`);
  if ((SECRET_NAME.test(name) || /token|nonce|salt/i.test(name)) && JSON.stringify(value).includes('"name":"random"'))
    report('weak-random', 'medium', 'security', `${name} can be guessed: use crypto.randomUUID or randomBytes`);
};

const comparisons: Rule = (node, report) => {
  if (node.type !== 'BinaryExpression') return;
  const operator = String(node['operator']);
  const [left, right] = [child(node, 'left'), child(node, 'right')];
  const isNull = left?.type === 'NullLiteral' || right?.type === 'NullLiteral';
  if ((operator === '==' || operator === '!=') && !isNull)
    report('eqeqeq', 'low', 'correctness', `${operator} converts what it compares: use ${operator}=`);
  if (!/^[=!<>]=?=?$/.test(operator)) return;
  if ([pathOf(left), pathOf(right)].some((path) => path === 'NaN' || path === 'Number.NaN'))
    report('compare-nan', 'medium', 'correctness', 'Nothing equals NaN: use Number.isNaN');
  const same = pathOf(left);
  if (same !== undefined && same === pathOf(right))
    report('self-compare', 'medium', 'correctness', `${same} is compared with itself`);
};

const TESTED = new Set(['IfStatement', 'WhileStatement', 'DoWhileStatement', 'ConditionalExpression', 'ForStatement']);

const statements: Rule = (node, report, parents) => {
  if (node.type === 'DebuggerStatement') report('debugger', 'medium', 'correctness', 'debugger is left in the code');
  if (node.type === 'WithStatement') report('with', 'medium', 'correctness', 'with hides whose names are used');
  if (node.type === 'VariableDeclaration' && node['kind'] === 'var')
    report('no-var', 'low', 'style', 'var is seen beyond its block: use let or const');
  const test = child(node, 'test');
  if (TESTED.has(node.type) && test?.type === 'AssignmentExpression')
    report('assignment-in-condition', 'medium', 'correctness', 'The condition assigns: was a comparison meant?', test);
  if (node.type === 'ThrowStatement' && isText(child(node, 'argument')))
    report('throw-text', 'low', 'correctness', 'A thrown text has no stack: throw an Error');
  if (node.type === 'AwaitExpression' && isInLoop(parents))
    report('await-in-loop', 'info', 'maintainability', 'Each round waits for the one before');
};

function isInLoop(parents: readonly Node[]): boolean {
  const innermost = parents.findLast((parent) => isFunction(parent) || LOOPS.has(parent.type));
  return innermost !== undefined && LOOPS.has(innermost.type) && innermost['await'] !== true;
}

const ENDS = new Set(['ReturnStatement', 'ThrowStatement', 'BreakStatement', 'ContinueStatement']);

const blocks: Rule = (node, report) => {
  const body = node.type === 'SwitchCase' ? children(node, 'consequent') : children(node, 'body');
  const end = body.findIndex(({ type }) => ENDS.has(type));
  const after = body.slice(end + 1).find(({ type }) => type !== 'FunctionDeclaration' && type !== 'EmptyStatement');
  if (end >= 0 && after) report('unreachable', 'medium', 'correctness', 'Nothing leads here', after);
  const handler = node.type === 'CatchClause' ? child(node, 'body') : undefined;
  if (handler && children(handler, 'body').length === 0)
    report('empty-catch', 'medium', 'correctness', 'The error is dropped: handle it, or let it rise');
  if (node.type === 'SwitchStatement') fallThrough(node, report);
  const last = node.type === 'TryStatement' ? child(node, 'finalizer') : undefined;
  if (last && children(last, 'body').some(({ type }) => type === 'ReturnStatement'))
    report('return-in-finally', 'medium', 'correctness', 'A return in finally hides errors', last);
};

function fallThrough(node: Node, report: Report): void {
  for (const one of children(node, 'cases').slice(0, -1)) {
    const body = children(one, 'consequent');
    const inner = body.at(-1)?.type === 'BlockStatement' ? children(body.at(-1) as Node, 'body') : body;
    const last = inner.at(-1);
    const isCommented = Array.isArray(last?.['trailingComments']);
    if (last && !ENDS.has(last.type) && last.type !== 'IfStatement' && !isCommented)
      report('fall-through', 'low', 'correctness', 'This case goes on into the next: end it, or say so', one);
  }
}

const objects: Rule = (node, report) => {
  if (node.type !== 'ObjectExpression') return;
  const seen = new Set<string>();
  for (const property of children(node, 'properties')) {
    const name = property['computed'] === true ? undefined : textOf(child(property, 'key'));
    if (name === undefined || property['kind'] === 'get' || property['kind'] === 'set') continue;
    if (seen.has(name)) report('duplicate-key', 'medium', 'correctness', `${name} is given twice`, property);
    seen.add(name);
  }
};

const functionsAsValues: Rule = (node, report) => {
  if (node.type !== 'NewExpression' || pathOf(child(node, 'callee')) !== 'Promise') return;
  const [executor] = children(node, 'arguments');
  if (executor && isFunction(executor) && executor['async'] === true)
    report('async-executor', 'medium', 'correctness', 'What an async executor throws is lost');
};

const patterns: Rule = (node, report) => {
  if (node.type === 'RegExpLiteral' && NESTED_REPETITION.test(String(node['pattern'])))
    report('slow-pattern', 'medium', 'security', 'The pattern repeats a repetition: some texts take it for ever');
  if (node.type === 'JSXAttribute' && textOf(child(node, 'name')) === 'dangerouslySetInnerHTML')
    report('dangerous-html', 'medium', 'security', 'The markup goes into the page as it is');
  if (node.type === 'StringLiteral' && /^http:\/\/(?!localhost|127\.|\[::1\])/.test(String(node['value'])))
    report('plain-http', 'info', 'security', 'What goes over http can be read and changed on its way');
};

const types: Rule = (node, report) => {
  if (node.type === 'TSAnyKeyword') report('explicit-any', 'low', 'maintainability', 'any turns the checks off');
  if (node.type === 'TSNonNullExpression')
    report('non-null', 'info', 'correctness', 'The ! says that it is there, and does not look');
  const inner = node.type === 'TSAsExpression' ? child(node, 'expression') : undefined;
  const through = inner?.type === 'TSAsExpression' ? child(inner, 'typeAnnotation')?.type : undefined;
  if (through === 'TSUnknownKeyword' || through === 'TSAnyKeyword')
    report('double-cast', 'low', 'correctness', 'A cast over unknown says anything');
  const comments = node['leadingComments'];
  for (const comment of Array.isArray(comments) ? comments.filter(isNode) : [])
    if (/@ts-(ignore|nocheck)/.test(String(comment['value'])))
      report('ts-ignore', 'low', 'maintainability', 'The checks are turned off here', comment);
};

export const RULES: readonly Rule[] = [
  calls,
  assignments,
  secretsAndChance,
  comparisons,
  statements,
  blocks,
  objects,
  functionsAsValues,
  patterns,
  types,
];
