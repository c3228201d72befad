/** A node of the parsed code, as far as its reviewers look. */
export type Node = {
  type: string;
  loc?: { start: { line: number; column: number }; end: { line: number; column: number } };
  [field: string]: unknown;
};

export const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';

/** What is beside the tree itself. */
const ASIDE = new Set([
  'loc',
  'extra',
  'errors',
  'tokens',
  'comments',
  'leadingComments',
  'trailingComments',
  'innerComments',
]);

export function childrenOf(node: Node): Node[] {
  const children: Node[] = [];
  for (const [field, value] of Object.entries(node)) {
    if (ASIDE.has(field) || typeof value !== 'object' || value === null) continue;
    if (Array.isArray(value)) for (const one of value) if (isNode(one)) children.push(one);
    if (isNode(value)) children.push(value);
  }
  return children;
}

const FUNCTIONS = new Set([
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'ObjectMethod',
  'ClassMethod',
  'ClassPrivateMethod',
]);
export const isFunction = ({ type }: Node): boolean => FUNCTIONS.has(type);

export const child = (node: Node, field: string): Node | undefined => {
  const value = node[field];
  return isNode(value) ? value : undefined;
};

export const children = (node: Node, field: string): Node[] => {
  const value = node[field];
  return Array.isArray(value) ? value.filter(isNode) : [];
};

/** The name of an identifier, of `this.name`, or of what a string is the key of. */
export function textOf(node: Node | undefined): string | undefined {
  if (!node) return undefined;
  if (node.type === 'Identifier' || node.type === 'JSXIdentifier') return String(node['name']);
  if (node.type === 'PrivateName') return textOf(child(node, 'id'));
  return node.type === 'StringLiteral' ? String(node['value']) : undefined;
}

/** `a.b.c` of a chain of names; undefined where something else is in it. */
export function pathOf(node: Node | undefined): string | undefined {
  if (!node) return undefined;
  if (node.type === 'ThisExpression') return 'this';
  if (node.type !== 'MemberExpression' && node.type !== 'OptionalMemberExpression')
    return node.type === 'Identifier' ? textOf(node) : undefined;
  if (node['computed'] === true) return undefined;
  const [object, property] = [pathOf(child(node, 'object')), textOf(child(node, 'property'))];
  return object === undefined || property === undefined ? property : `${object}.${property}`;
}

export function nameOf(node: Node, parent: Node | undefined): string | undefined {
  const own = textOf(child(node, 'id')) ?? textOf(child(node, 'key'));
  if (own !== undefined || !parent) return own;
  return textOf(child(parent, 'id')) ?? textOf(child(parent, 'key')) ?? pathOf(child(parent, 'left'));
}
