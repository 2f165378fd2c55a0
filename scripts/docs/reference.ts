import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packages, root } from '../steps.ts';

const site = join(root, 'docs');
const { resolve } = createRequire(join(site, 'package.json'));

/** Makes docs/reference/ from the doc comments of every package's entries; returns the names of those it could not. */
export async function makeReference(): Promise<string[]> {
  const { Application } = await import(pathToFileURL(resolve('typedoc')).href);
  const output = join(site, 'reference');
  rmSync(output, { recursive: true, force: true });
  const failed: string[] = [];
  for (const name of packages) {
    const folder = join(root, 'packages', name);
    const entryPoints = entriesOf(folder);
    const tsconfig = join(root, '.hotpath', `typedoc-${name}.json`);
    mkdirSync(join(root, '.hotpath'), { recursive: true });
    writeFileSync(tsconfig, JSON.stringify({ extends: '../tsconfig.base.json', files: entryPoints }));
    const app = await Application.bootstrapWithPlugins({
      name: `@hotpath/${name}`,
      entryPoints,
      tsconfig,
      basePath: join(folder, 'src'),
      plugin: [join(site, 'node_modules', 'typedoc-plugin-markdown', 'dist', 'index.js')],
      readme: 'none',
      router: 'member',
      entryModule: 'index',
      entryFileName: 'index',
      hidePageHeader: true,
      hideBreadcrumbs: true,
      // Its own default is to empty a folder "docs" first.
      outputs: [{ name: 'markdown', path: join(output, name) }],
      cleanOutputDir: false,
      disableSources: true,
      excludeInternal: true,
      excludePrivate: true,
      excludeExternals: true,
      skipErrorChecking: true,
      validation: { notExported: false, invalidLink: false, notDocumented: false },
      useCodeBlocks: true,
      parametersFormat: 'table',
      interfacePropertiesFormat: 'table',
      typeAliasPropertiesFormat: 'table',
      sort: ['alphabetical'],
      logLevel: 'Error',
    });
    const project = await app.convert();
    if (project === undefined) {
      failed.push(name);
      continue;
    }
    await app.generateOutputs(project);
    if (app.logger.hasErrors()) failed.push(name);
  }
  return failed;
}

/** Source files of what `exports` names. */
function entriesOf(folder: string): string[] {
  const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return Object.values(exports as Record<string, { default?: string }>)
    .flatMap((entry) => entry.default ?? [])
    .map((path) => join(folder, 'src', `${basename(path, '.js')}.ts`))
    .filter((path) => existsSync(path));
}
