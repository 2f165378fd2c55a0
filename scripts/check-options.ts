// Holds that every optional option may also be given as undefined: who passes on what may be absent has
// to spread it conditionally otherwise, where `exactOptionalPropertyTypes` is on.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { root } from './steps.ts';

const problems: string[] = [];

function takesUndefined(type: ts.TypeNode): boolean {
  if (ts.isUnionTypeNode(type)) return type.types.some(takesUndefined);
  return [ts.SyntaxKind.UndefinedKeyword, ts.SyntaxKind.UnknownKeyword, ts.SyntaxKind.NeverKeyword].includes(
    type.kind,
  );
}

/** What decides the type of a result is inferred from the option itself. */
function isParameterOf(owner: ts.InterfaceDeclaration, type: ts.TypeNode): boolean {
  return (
    ts.isTypeReferenceNode(type) &&
    ts.isIdentifier(type.typeName) &&
    owner.typeParameters?.some(({ name }) => name.text === (type.typeName as ts.Identifier).text) === true
  );
}

for (const file of globSync('packages/*/src/**/*.ts', { cwd: root }).sort()) {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest);
  for (const statement of source.statements) {
    if (!ts.isInterfaceDeclaration(statement) || !statement.name.text.endsWith('Options')) continue;
    for (const member of statement.members) {
      if (member.questionToken === undefined || !member.name || !ts.isIdentifier(member.name)) continue;
      const type = ts.isPropertySignature(member) ? member.type : undefined;
      if (type !== undefined && (takesUndefined(type) || isParameterOf(statement, type))) continue;
      problems.push(`${file}: ${statement.name.text}.${member.name.text} must take undefined as absent`);
    }
  }
}

for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
