import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The three things that a decision looks at; each is an endpoint of its own. */
export const EVIDENCE_KINDS = ['risk', 'history', 'ownership'] as const;
export type EvidenceKind = (typeof EVIDENCE_KINDS)[number];

/** What an evidence endpoint says of a subject: a score from 0 (harmless) to 1 (dangerous). */
export interface Evidence {
  readonly kind: EvidenceKind;
  readonly subject: string;
  readonly score: number;
}

/** A server of evidence on loopback, standing in for the systems that a real service would ask. */
export interface EvidenceServer extends AsyncDisposable {
  readonly baseUrl: string;
  close(): Promise<void>;
}

/** Starts the evidence server; scores depend on the subject alone, so answers are reproducible. */
export async function startEvidenceServer(): Promise<EvidenceServer> {
  const server = createServer((request, response) => {
    const [path, query] = (request.url ?? '').split('?');
    const known = EVIDENCE_KINDS.find((kind) => path === `/evidence/${kind}`);
    const subject = new URLSearchParams(query).get('subject');
    if (known === undefined || subject === null || subject === '') {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"unknown evidence"}');
      return;
    }
    const evidence: Evidence = { kind: known, subject, score: scoreOf(known, subject) };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(evidence));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const close = (): Promise<void> => closeServer(server);
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** FNV-1a over kind and subject, scaled to 0…0.79, so that harmless subjects prevail. */
function scoreOf(kind: EvidenceKind, subject: string): number {
  let hash = 0x811c9dc5;
  for (const character of `${kind}:${subject}`) {
    hash = Math.imul(hash ^ (character.codePointAt(0) as number), 0x01000193);
  }
  return ((hash >>> 0) % 80) / 100;
}
