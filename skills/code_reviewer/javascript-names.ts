import type { Finding } from './finding.ts';
import { child, children, childrenOf, textOf, type Node } from './javascript-tree.ts';

/** Imports whose names stand nowhere else. */
export function unusedImports(tree: Node): Finding[] {
  const imported = new Map<string, Node>();
  const used = new Set<string>();
  const go = (node: Node): void => {
    if (node.type === 'ImportDeclaration') {
      for (const specifier of children(node, 'specifiers')) {
        const name = textOf(child(specifier, 'local'));
        if (name !== undefined) imported.set(name, specifier);
      }
      return;
    }
    if (node.type === 'Identifier' || node.type === 'JSXIdentifier') used.add(String(node['name']));
    for (const inner of childrenOf(node)) go(inner);
  };
  go(tree);
  // JSX is turned into calls of React, where that is what it is turned into.
  return [...imported]
    .filter(([name]) => !used.has(name) && name !== 'React')
    .map(([name, { loc }]) => ({
      line: loc?.start.line ?? 1,
      column: (loc?.start.column ?? 0) + 1,
      rule: 'unused-import',
      severity: 'low',
      category: 'maintainability',
      message: `${name} is imported and not used`,
    }));
}
