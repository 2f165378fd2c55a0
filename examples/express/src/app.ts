import type { Constitution } from '@hotpath/constitution';
import { constitutionMiddleware } from '@hotpath/constitution/express';
import { isHotpathError } from '@hotpath/core';
import type { HttpClient } from '@hotpath/http';
import express, { type ErrorRequestHandler, type Express } from 'express';

/** A service that answers from other services, and says so when they are away. */
export function createApp(constitution: Constitution, suppliers: HttpClient): Express {
  const app = express();
  app.use(constitutionMiddleware({ constitution, exempt: ['/health'] }));

  app.get('/health', (_, response) => {
    response.json({ connections: suppliers.stats().connections });
  });

  app.get('/offers/:product', async (request, response) => {
    // One slow or broken supplier does not keep the others' offers back.
    const paths = ['north', 'south', 'west'].map((name) => about(`/${name}/offers`, request.params.product));
    const results = await suppliers.gather(paths, { as: 'json', itemTimeoutMs: 500 });
    const offers = results.flatMap((result) => (result.status === 'ok' ? [result.value] : []));
    response.status(offers.length === 0 ? 503 : 200).json({ offers, missing: paths.length - offers.length });
  });

  app.get('/stock/:product', async (request, response) => {
    const stock = about('/stock', request.params.product);
    response.json(await suppliers.getJson(stock, { signal: leaving(response) }));
  });

  app.use(problem);
  return app;
}

/** Never as a part of the path: there a product of the name `../admin` would ask for something else. */
function about(path: string, product: string): string {
  return `${path}?product=${encodeURIComponent(product)}`;
}

/** Aborts when the client has left before it was answered. */
function leaving(response: express.Response): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}

/** Errors of ours carry what an answer needs: a stable code, and when another try is worth it. */
const problem: ErrorRequestHandler = (error, _request, response, next) => {
  if (response.headersSent || !isHotpathError(error)) return next(error);
  if ('retryAfterMs' in error && typeof error.retryAfterMs === 'number') {
    response.setHeader('retry-after', Math.ceil(error.retryAfterMs / 1_000));
  }
  const status = error.family === 'timeout' ? 504 : error.family === 'upstream' ? 502 : 503;
  response.status(status).json({ error: error.code });
};
