// Writes down what each package exports, as its built declarations say, into public-api/<package>.md, so that
// every change of the public surface is visible in a review. With --write the reports are written; without,
// they are only compared.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { packages, root } from '../steps.ts';

const printer = ts.createPrinter({ removeComments: true });

function reportOf(name: string): string {
  const folder = join(root, 'packages', name);
  const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const entries = Object.entries(exports as Record<string, { types?: string }>)
    .filter(([, { types }]) => types !== undefined)
    .map(([entry, { types }]) => ({
      id: `@hotpath/${name}${entry.slice(1)}`,
      file: join(folder, types as string),
    }));
  const program = ts.createProgram(
    entries.map(({ file }) => file),
    {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      noLib: true,
      types: [],
    },
  );
  const checker = program.getTypeChecker();
  const surfaces = entries.map(({ id, file }) => {
    const source = program.getSourceFile(file);
    const module = source && checker.getSymbolAtLocation(source);
    const symbols = module ? checker.getExportsOfModule(module) : [];
    return {
      id,
      exported: symbols.map((symbol) => ({ name: symbol.name, symbol: aliased(checker, symbol) })),
    };
  });
  const known = new Set(surfaces.flatMap(({ exported }) => exported.map(({ symbol }) => symbol)));
  const sections = surfaces.map(({ id, exported }) => {
    const symbols = exported.map(({ symbol }) => symbol);
    const hidden = reachable(checker, symbols, join(folder, 'dist')).filter((symbol) => !known.has(symbol));
    return [
      `## ${id}`,
      blockOf(exported),
      ...(hidden.length > 0
        ? [
            'Named by the above, but not exported:',
            blockOf(hidden.map((symbol) => ({ name: symbol.name, symbol }))),
          ]
        : []),
    ].join('\n\n');
  });
  return `# Public API of @hotpath/${name}\n\nMade by \`node scripts/release/public-api.ts --write\` from the built declarations.\n\n${sections.join('\n\n')}\n`;
}

function aliased(checker: ts.TypeChecker, symbol: ts.Symbol): ts.Symbol {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
}

function blockOf(symbols: readonly { readonly name: string; readonly symbol: ts.Symbol }[]): string {
  const texts = symbols
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap(({ name, symbol }) =>
      (symbol.declarations ?? []).map((declaration) => textOf(name, symbol, declaration)),
    );
  return `\`\`\`ts\n${texts.join('\n')}\n\`\`\``;
}

function textOf(name: string, symbol: ts.Symbol, declaration: ts.Declaration): string {
  const text = printer
    .printNode(ts.EmitHint.Unspecified, declaration, declaration.getSourceFile())
    .replace(/^(export )?(declare )?/, '');
  const whole = ts.isVariableDeclaration(declaration) ? `const ${text};` : text;
  return name === symbol.name ? whole : `${whole} // exported as ${name}`;
}

/** Symbols declared in a folder that the given ones name at any depth, without themselves. */
function reachable(checker: ts.TypeChecker, from: readonly ts.Symbol[], folder: string): ts.Symbol[] {
  const found = new Set<ts.Symbol>(from);
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) {
      const symbol = checker.getSymbolAtLocation(node);
      const target = symbol && aliased(checker, symbol);
      const declaration = target?.declarations?.[0];
      const isTopLevel =
        declaration !== undefined &&
        (ts.isSourceFile(declaration.parent) || ts.isVariableDeclaration(declaration)) &&
        declaration.getSourceFile().fileName.startsWith(folder);
      if (target !== undefined && isTopLevel && !found.has(target)) {
        found.add(target);
        for (const each of target.declarations ?? []) visit(each);
      }
    }
    ts.forEachChild(node, visit);
  };
  for (const symbol of from) for (const declaration of symbol.declarations ?? []) visit(declaration);
  return [...found].filter((symbol) => !from.includes(symbol));
}

for (const name of packages) {
  const path = join(import.meta.dirname, 'public-api', `${name}.md`);
  const report = reportOf(name);
  if (process.argv.includes('--write')) {
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, report);
  } else if (!existsSync(path) || readFileSync(path, 'utf8') !== report) {
    console.error(
      `the public API of @hotpath/${name} changed: run node scripts/release/public-api.ts --write and review the diff`,
    );
    process.exitCode = 1;
  }
}
