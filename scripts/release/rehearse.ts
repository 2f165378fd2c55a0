import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres, startRedis } from '../../testkit/src/index.ts';
import { packages } from '../steps.ts';
import { nameRepository, packPackages, publishPackages, versionPackages } from './changesets.ts';
import {
  type Consumer,
  compile,
  createConsumer,
  type Installer,
  installLine,
  runFirstExample,
  smoke,
} from './consumer.ts';
import { startRegistry } from './registry.ts';
import { killRunning, step } from './step.ts';
import { installTools, nodes } from './tools.ts';
import { checkTarballs, copyTree, type Manifest, readManifest } from './tree.ts';

/**
 * Publishes every package to a private registry and uses them from there as a stranger would.
 *
 * The tree stays as it is; everything happens in one temporary folder, which is removed at the end.
 *
 * @throws StepError with the name of the step that failed.
 */
export async function rehearse(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'hotpath-rehearsal-'));
  const cleanUp = (): void => {
    killRunning();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      cleanUp();
      process.exit(1);
    });
  }
  try {
    await step('install the tools', 300_000, installTools);
    await using registry = await step('start the registry', 60_000, () =>
      startRegistry(join(folder, 'registry')),
    );
    const tree = join(folder, 'tree');
    await publishAll(tree, join(folder, 'packed'), registry.npmrc);
    await using redis = await step('start Redis', 60_000, () => startRedis());
    await using postgres = await step('start Postgres', 60_000, () => startPostgres());
    await useAll({
      tree,
      folder,
      npmrc: registry.npmrc,
      env: { REDIS_URL: redis.url, DATABASE_URL: postgres.connectionString },
    });
  } finally {
    cleanUp();
  }
}

async function publishAll(tree: string, packed: string, npmrc: string): Promise<void> {
  await step('copy the tree', 240_000, () => copyTree(tree));
  writeFileSync(join(tree, '.npmrc'), npmrc);
  await step('make versions from changesets', 60_000, () => versionPackages(tree));
  nameRepository(tree, 'https://localhost/rehearsal.git');
  await step('pack', 120_000, () => packPackages(tree, packed));
  await step('check what was packed', 60_000, async () => {
    const count = await checkTarballs(tree, join(packed, 'packages'));
    if (count !== packages.length) throw new Error(`${count} tarballs for ${packages.length} packages`);
  });
  await step('publish', 180_000, () => publishPackages(tree, packed));
}

interface Stage {
  readonly tree: string;
  readonly folder: string;
  readonly npmrc: string;
  /** Where the servers are that examples talk to. */
  readonly env: Record<string, string>;
}

async function useAll(stage: Stage): Promise<void> {
  const manifests = packages.map((name) => readManifest(stage.tree, name));
  const lines = manifests.map((manifest) => installLine(stage.tree, manifest));
  const everything = [...new Set([...lines.flat(), ...manifests.flatMap(integrationsOf)])];
  const installers: [name: string, installer: Installer][] = [
    ...nodes.map(({ major, path }): [string, Installer] => [
      `npm on Node ${major}`,
      { tool: 'npm', node: path },
    ]),
    ['pnpm', { tool: 'pnpm' }],
  ];
  let first = true;
  for (const [name, installer] of installers) {
    const consumer = await install(stage, `all with ${name}`, manifests, everything, installer);
    await step(`import and require all, installed with ${name}`, 180_000, () =>
      smokeAll(consumer, installer),
    );
    if (!first && installer.tool === 'npm') continue;
    first = false;
    await step(`compile against all, installed with ${name}`, 300_000, () => compile(consumer, () => true));
    for (const manifest of manifests)
      await runExample(stage, consumer, manifest, `among all, installed with ${name}`);
  }
  for (const [index, manifest] of manifests.entries()) {
    for (const [name, installer] of installers.slice(-2)) {
      const what = `${manifest.name} alone with ${name}`;
      const consumer = await install(stage, what, [manifest], lines[index] as string[], installer);
      await step(`import and require ${what}`, 180_000, () => smokeAll(consumer, installer));
      // pnpm shows a package what it declared and nothing else, so its tree is the one to compile against.
      if (installer.tool === 'pnpm') {
        await step(`compile against ${what}`, 300_000, () =>
          compile(consumer, (entry) => entry === manifest.name),
        );
      }
      await runExample(stage, consumer, manifest, `alone with ${name}`);
    }
  }
}

/** What a package's own entries are for, such as `fastify` for `./fastify`, with their types. */
function integrationsOf(manifest: Manifest): string[] {
  const known = { ...manifest.devDependencies, ...manifest.peerDependencies };
  const wanted = [
    ...Object.keys(manifest.exports).map((entry) => entry.slice(2)),
    ...Object.keys(manifest.peerDependencies ?? {}),
  ];
  return wanted
    .flatMap((name) => [name, `@types/${name}`])
    .filter((name) => name in known)
    .map((name) => (manifest.devDependencies?.[name] ? `${name}@${manifest.devDependencies[name]}` : name));
}

let consumers = 0;

function install(
  { folder, npmrc }: Stage,
  what: string,
  manifests: readonly Manifest[],
  names: readonly string[],
  installer: Installer,
): Promise<Consumer> {
  const project = join(folder, `consumer-${consumers++}`);
  mkdirSync(project);
  return step(`install ${what}`, 180_000, () =>
    createConsumer(project, { manifests, install: names, installer, npmrc, caches: join(folder, 'caches') }),
  );
}

async function smokeAll(consumer: Consumer, installer: Installer): Promise<void> {
  for (const { major, path } of nodes) {
    // What npm installed depends on the Node that it ran on, so each is tried on its own; pnpm's is one for all.
    if (installer.tool === 'npm' && consumer.manifests.length > 1 && installer.node !== path) continue;
    await smoke(consumer, path).catch((error) => {
      throw new Error(`on Node ${major}: ${error.message}`);
    });
  }
}

async function runExample(
  { tree, env }: Stage,
  consumer: Consumer,
  manifest: Manifest,
  where: string,
): Promise<void> {
  await step(`first example of ${manifest.name}, ${where}`, 180_000, async () => {
    for (const { major, path } of nodes) {
      await runFirstExample(consumer, { tree, manifest, node: path, env }).catch((error) => {
        throw new Error(`on Node ${major}: ${error.message}`);
      });
    }
  });
}
