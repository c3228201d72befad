import { parse, type ParserOptions } from '@babel/parser';
import { Refusal } from '../input.ts';
import { shapeFindings, type Finding, type FunctionFigures, type Review } from './finding.ts';
import { RULES, type Report } from './javascript-rules.ts';
import { childrenOf, isFunction, isNode, nameOf, type Node } from './javascript-tree.ts';
import { unusedImports } from './javascript-names.ts';

type Plugins = NonNullable<ParserOptions['plugins']>;
const PLUGINS: Readonly<Record<'javascript' | 'typescript' | 'jsx' | 'tsx', Plugins>> = {
  javascript: ['jsx', 'decorators', 'explicitResourceManagement'],
  jsx: ['jsx', 'decorators', 'explicitResourceManagement'],
  typescript: ['typescript', 'decorators', 'explicitResourceManagement'],
  tsx: ['typescript', 'jsx', 'decorators', 'explicitResourceManagement'],
};
/** Deeper than anybody writes by hand: a tree that only tries to break who walks it. */
const MAX_DEPTH = 1_000;

const BRANCHES = new Set([
  'IfStatement',
  'ConditionalExpression',
  'ForStatement',
  'ForInStatement',
  'ForOfStatement',
  'WhileStatement',
  'DoWhileStatement',
  'CatchClause',
  'LogicalExpression',
]);
const NESTING = new Set([...BRANCHES, 'SwitchStatement', 'TryStatement']);
for (const flat of ['LogicalExpression', 'ConditionalExpression', 'CatchClause']) NESTING.delete(flat);

export function reviewJavaScript(code: string, language: keyof typeof PLUGINS): Review {
  const empty: Review = { findings: [], functions: [], classes: 0, imports: 0 };
  const parsed = treeOf(code, language);
  if ('error' in parsed) return { ...empty, syntaxError: parsed.error };
  const findings: Finding[] = [];
  const functions: FunctionFigures[] = [];
  const counts = { classes: 0, imports: 0 };
  walk(parsed.tree, (node, parents) => {
    const parent = parents.at(-1);
    if (isFunction(node)) functions.push(figuresOf(node, parent));
    if (node.type === 'ClassDeclaration' || node.type === 'ClassExpression') counts.classes += 1;
    if (node.type === 'ImportDeclaration') counts.imports += 1;
    const report: Report = (rule, severity, category, message, at = node) =>
      void findings.push({ ...placeOf(at), rule, severity, category, message });
    for (const rule of RULES) rule(node, report, parents);
  });
  findings.push(...unusedImports(parsed.tree), ...shapeFindings(functions));
  return { findings, functions, ...counts };
}

type Parsed = { tree: Node } | { error: NonNullable<Review['syntaxError']> };

function treeOf(code: string, language: keyof typeof PLUGINS): Parsed {
  try {
    const tree: unknown = parse(code, {
      sourceType: 'unambiguous',
      plugins: PLUGINS[language],
      allowReturnOutsideFunction: true,
      allowAwaitOutsideFunction: true,
      allowUndeclaredExports: true,
    });
    if (!isNode(tree)) throw new Error('a parsed text is a node');
    return { tree };
  } catch (error) {
    if (error instanceof RangeError) throw new Refusal('The code is nested too deeply to be read');
    if (!(error instanceof SyntaxError)) throw error;
    const { loc } = error as SyntaxError & { loc?: { line: number; column: number } };
    const message = error.message.replace(/\s*\(\d+:\d+\)$/, '');
    return { error: { line: loc?.line ?? 1, column: (loc?.column ?? 0) + 1, message } };
  }
}

/** Visits every node, the outer before the inner. */
function walk(tree: Node, visit: (node: Node, parents: readonly Node[]) => void): void {
  const parents: Node[] = [];
  const go = (node: Node): void => {
    if (parents.length > MAX_DEPTH) throw new Refusal('The code is nested too deeply to be read');
    visit(node, parents);
    parents.push(node);
    for (const child of childrenOf(node)) go(child);
    parents.pop();
  };
  go(tree);
}

const placeOf = ({ loc }: Node): { line: number; column: number } => ({
  line: loc?.start.line ?? 1,
  column: (loc?.start.column ?? 0) + 1,
});

function figuresOf(node: Node, parent: Node | undefined): FunctionFigures {
  const { line } = placeOf(node);
  const { branches, nesting } = shapeOf(node);
  return {
    name: nameOf(node, parent) ?? 'an anonymous function',
    line,
    lines: (node.loc?.end.line ?? line) - line + 1,
    parameters: Array.isArray(node['params']) ? node['params'].length : 0,
    complexity: branches + 1,
    nesting,
  };
}

/** Of a function itself, without those that stand in it. */
function shapeOf(node: Node): { branches: number; nesting: number } {
  let [branches, nesting] = [0, 0];
  const go = (inner: Node, depth: number, parent: Node): void => {
    if (isFunction(inner)) return;
    if (BRANCHES.has(inner.type) || (inner.type === 'SwitchCase' && inner['test'] !== null)) branches += 1;
    // An `else if` stands beside the `if`, not in it.
    const isDeeper = NESTING.has(inner.type) && !(inner.type === 'IfStatement' && parent['alternate'] === inner);
    const own = depth + (isDeeper ? 1 : 0);
    nesting = Math.max(nesting, own);
    for (const child of childrenOf(inner)) go(child, own, inner);
  };
  for (const child of childrenOf(node)) go(child, 0, node);
  return { branches, nesting };
}
