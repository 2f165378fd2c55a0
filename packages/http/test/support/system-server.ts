import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface SystemServer extends AsyncDisposable {
  readonly port: number;
  signal(signal: NodeJS.Signals): void;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function listening(port: number, child: ChildProcess, log: () => string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (child.exitCode !== null) throw new Error(`the server ended: ${log()}`);
    const socket = connect(port, '127.0.0.1');
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (connected) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`the server does not listen: ${log()}`);
}

async function start(
  command: string,
  args: (directory: string) => readonly string[],
  file: string,
  configure: (port: number, directory: string) => string,
): Promise<SystemServer> {
  const directory = await mkdtemp(join(tmpdir(), `hotpath-${command}-`));
  const port = await freePort();
  await writeFile(join(directory, file), configure(port, directory));
  const child = spawn(command, args(directory), { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (log += String(chunk)));
  const failed = new Promise<never>((_, reject) => {
    child.once('error', (error) => reject(new Error(`${command} is not installed`, { cause: error })));
  });
  await Promise.race([listening(port, child, () => log), failed]);
  return {
    port,
    signal: (signal) => void child.kill(signal),
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      await rm(directory, { recursive: true, force: true });
    },
  };
}

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** nginx in the foreground; `locations` goes into its one server. */
export function startNginx(
  directives: string,
  { isTls = false }: { readonly isTls?: boolean } = {},
): Promise<SystemServer> {
  const tls = isTls ? `ssl_certificate ${file('cert.pem')}; ssl_certificate_key ${file('key.pem')};` : '';
  return start(
    'nginx',
    (directory) => ['-p', directory, '-c', join(directory, 'nginx.conf'), '-g', 'daemon off;'],
    'nginx.conf',
    (port, directory) => `
      worker_processes 1;
      pid ${directory}/nginx.pid;
      error_log stderr warn;
      events { worker_connections 512; }
      http {
        access_log off;
        client_body_temp_path ${directory}/body; proxy_temp_path ${directory}/proxy;
        fastcgi_temp_path ${directory}/fastcgi; uwsgi_temp_path ${directory}/uwsgi; scgi_temp_path ${directory}/scgi;
        default_type application/json;
        server {
          listen 127.0.0.1:${port} ${isTls ? 'ssl http2' : ''};
          ${tls}
          ${directives}
        }
      }`,
  );
}

/** haproxy in front of one server. */
export function startHaproxy(backendPort: number, defaults: string): Promise<SystemServer> {
  return start(
    'haproxy',
    (directory) => ['-db', '-f', join(directory, 'haproxy.cfg')],
    'haproxy.cfg',
    (port) => `
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
${defaults
  .split('\n')
  .map((line) => `  ${line.trim()}`)
  .join('\n')}
frontend front
  bind 127.0.0.1:${port}
  default_backend back
backend back
  server one 127.0.0.1:${backendPort}
`,
  );
}
