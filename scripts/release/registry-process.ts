// A Verdaccio that keeps everything in one folder. `@hotpath/*` has no other source than what is
// published here; the rest comes from the registry that npm is configured for. Its configuration is an
// object, so that the address of that registry is written nowhere. Reports its port, ends with its parent.
import { pathToFileURL } from 'node:url';

interface Start {
  readonly verdaccio: string;
  readonly folder: string;
  readonly upstream: string;
}

process.once('message', async ({ verdaccio, folder, upstream }: Start) => {
  const { runServer } = await import(pathToFileURL(verdaccio).href);
  const server = await runServer({
    self_path: `${folder}/verdaccio.yaml`,
    storage: `${folder}/storage`,
    web: { enable: false },
    auth: { htpasswd: { file: `${folder}/htpasswd`, algorithm: 'bcrypt', rounds: 4 } },
    uplinks: {
      upstream: { url: upstream, timeout: '60s', maxage: '30m', max_fails: 10, fail_timeout: '1s' },
    },
    packages: {
      '@hotpath/*': { access: '$all', publish: '$authenticated' },
      '**': { access: '$all', proxy: 'upstream' },
    },
    max_body_size: '20mb',
    log: { type: 'stdout', format: 'json', level: 'warn' },
  });
  server.listen(0, '127.0.0.1', () => {
    process.send?.({ port: server.address().port });
  });
});
process.once('disconnect', () => process.exit(0));
