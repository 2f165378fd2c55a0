import { build } from '../build.ts';
import { packages } from '../steps.ts';

const names = process.argv.slice(2);
await build(names.length > 0 ? names : packages);
