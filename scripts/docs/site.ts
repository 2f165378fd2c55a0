import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { exec } from '../release/step.ts';
import { installFolder } from '../release/tools.ts';
import { packages, root } from '../steps.ts';
import { makeReference } from './reference.ts';

const site = join(root, 'docs');

/** Builds the documentation site into docs/.vitepress/dist; resolves with that folder. */
export async function buildSite(): Promise<string> {
  await installFolder(site);
  copyReadmes();
  const failed = await makeReference();
  if (failed.length > 0) throw new Error(`no reference could be made of ${failed.join(', ')}`);
  const vitepress = join(site, 'node_modules', 'vitepress', 'bin', 'vitepress.js');
  await exec(process.execPath, [vitepress, 'build', site], { cwd: site, timeoutMs: 300_000 });
  return join(site, '.vitepress', 'dist');
}

/** Makes pages of the packages' READMEs, with links that lead to the same things on the site. */
function copyReadmes(): void {
  const folder = join(site, 'packages');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const name of packages) {
    const source = join(root, 'packages', name, 'README.md');
    if (!existsSync(source)) continue;
    const text = readFileSync(source, 'utf8').replaceAll(
      /\]\((?!https?:|#)([^)]+)\)/g,
      (_, target: string) => {
        return `](${linkOf(name, target)})`;
      },
    );
    writeFileSync(join(folder, `${name}.md`), text);
  }
}

function linkOf(name: string, target: string): string {
  const [path, anchor] = target.split('#') as [string, string | undefined];
  const file = posix.join('packages', name, path);
  const suffix = anchor === undefined ? '' : `#${anchor}`;
  const other = /^packages\/(\w+)\/?(README\.md)?$/.exec(file)?.[1];
  if (other !== undefined) return `/packages/${other}${suffix}`;
  if (!file.startsWith('docs/'))
    throw new Error(`packages/${name}/README.md links to ${target}, which the site does not have`);
  const page = posix.relative('docs', file);
  if (!existsSync(join(site, page)))
    throw new Error(`packages/${name}/README.md links to ${target}, which does not exist`);
  return posix.join('/', posix.dirname(page), posix.basename(page, '.md')) + suffix;
}
