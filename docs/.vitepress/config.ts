import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const docs = join(dirname(fileURLToPath(import.meta.url)), '..');

interface Item {
  text: string;
  link?: string;
  collapsed?: boolean;
  items?: Item[];
}

/** Pages of a folder, named by their first heading. */
function pagesOf(folder: string): Item[] {
  return globSync('*.md', { cwd: join(docs, folder) })
    .sort()
    .map((file) => ({
      text: /^# (.+)$/m.exec(readFileSync(join(docs, folder, file), 'utf8'))?.[1] ?? file,
      link: `/${folder}/${file.replace(/\.md$/, '')}`,
    }));
}

/** The generated reference: a group for each package, in it one for each kind of thing. */
function referenceOf(name: string): Item {
  const base = join(docs, 'reference', name);
  const modules = readdirSync(base, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const kinds = modules.flatMap(({ name: module }) => {
    const groups = existsSync(join(base, module))
      ? readdirSync(join(base, module), { withFileTypes: true })
      : [];
    return groups
      .filter((entry) => entry.isDirectory())
      .map(({ name: kind }) => ({
        text: `${kind.replace('-', ' ')}${module === 'index' || ownKinds.has(module) ? '' : ` of ${module}`}`,
        collapsed: true,
        items: leaves(`reference/${name}/${module}/${kind}`),
      }));
  });
  const direct = modules
    .filter(({ name: module }) => ownKinds.has(module))
    .map(({ name: kind }) => ({
      text: kind.replace('-', ' '),
      collapsed: true,
      items: leaves(`reference/${name}/${kind}`),
    }));
  return {
    text: `@hotpath/${name}`,
    link: `/reference/${name}/`,
    items: [...kinds, ...direct],
  };
}

function otherReferences(name: string): Item {
  const others = names.filter((other) => other !== name);
  return {
    text: 'Other packages',
    items: others.map((other) => ({ text: `@hotpath/${other}`, link: `/reference/${other}/` })),
  };
}

const ownKinds = new Set(['classes', 'interfaces', 'type-aliases', 'variables', 'functions']);

function leaves(folder: string): Item[] {
  return globSync('*.md', { cwd: join(docs, folder) })
    .sort()
    .map((file) => ({ text: file.replace(/\.md$/, ''), link: `/${folder}/${file.replace(/\.md$/, '')}` }));
}

const names = readdirSync(join(docs, 'reference')).sort();
const about: Item[] = [
  { text: 'Architecture', link: '/architecture' },
  ...(existsSync(join(docs, 'errors.md')) ? [{ text: 'Errors', link: '/errors' }] : []),
];
const sidebar: Item[] = [
  { text: 'Guides', items: pagesOf('guides') },
  { text: 'Packages', items: pagesOf('packages') },
  { text: 'About', items: [...about, { text: 'Decisions', collapsed: true, items: pagesOf('decisions') }] },
];

export default {
  title: 'hotpath',
  description: 'Performance primitives for Node.js services.',
  lang: 'en',
  cleanUrls: true,
  lastUpdated: false,
  metaChunk: true,
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: '/mark.svg' }]],
  markdown: { theme: { light: 'github-light', dark: 'github-dark' } },
  themeConfig: {
    logo: '/mark.svg',
    nav: [
      { text: 'Guides', link: pagesOf('guides')[0]?.link ?? '/', activeMatch: '/guides/' },
      { text: 'Packages', link: '/packages/core', activeMatch: '/packages/' },
      { text: 'Reference', link: '/reference/core/', activeMatch: '/reference/' },
      { text: 'Errors', link: '/errors' },
    ],
    // Each page carries its whole sidebar, so a package's reference lists that package alone.
    sidebar: {
      ...Object.fromEntries(
        names.map((name) => [`/reference/${name}/`, [referenceOf(name), otherReferences(name)]]),
      ),
      '/': sidebar,
    },
    outline: [2, 3],
    search: { provider: 'local' },
    footer: { message: 'MIT licence' },
  },
};
