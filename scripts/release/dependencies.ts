import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../steps.ts';

/** A package that comes along when one of ours is installed. */
export interface Dependency {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string | { readonly type: string };
  readonly licenses?: readonly { readonly type: string }[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/**
 * Lists everything that an installation of one of our packages brings, at any depth, as it is installed here.
 *
 * @param peers - whether what the user has to bring himself counts as well.
 */
export function dependenciesOf(name: string, { peers }: { readonly peers: boolean }): Dependency[] {
  const found = new Map<string, Dependency>();
  const visit = (folder: string, isOurs: boolean): void => {
    const manifest = read(folder);
    const names = [
      ...Object.keys(manifest.dependencies ?? {}),
      ...Object.keys(manifest.optionalDependencies ?? {}),
      ...(peers && isOurs ? Object.keys(manifest.peerDependencies ?? {}) : []),
    ];
    for (const dependency of names) {
      const inner = locate(folder, dependency);
      // Optional ones for other systems are not here.
      if (inner === undefined) continue;
      const { version, license, licenses, name: own } = read(inner);
      const key = `${own}@${version}`;
      if (found.has(key)) continue;
      const licence =
        typeof license === 'string' ? license : (license?.type ?? licenses?.[0]?.type ?? 'none');
      found.set(key, { name: own, version, licence });
      visit(inner, own.startsWith('@hotpath/'));
    }
  };
  visit(join(root, 'packages', name), true);
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name));
}

function read(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}

function locate(from: string, name: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return realpathSync(candidate);
    if (folder === dirname(folder)) return undefined;
  }
}
