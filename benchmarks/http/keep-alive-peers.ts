import { Agent } from 'node:http';
import type { Case, ServerAddress } from '../harness/index.ts';
import { checkPolicy } from './policy.ts';

/** `timeoutMs` of a whole request; absent: the library's default. */
interface PeerOptions {
  readonly timeoutMs?: number;
}

/** `got` over an agent with keep-alive, which it does not have by itself. */
export async function gotPolicy(origin: ServerAddress, { timeoutMs }: PeerOptions = {}): Promise<Case> {
  const { default: got } = await import('got');
  const http = new Agent({ keepAlive: true });
  const url = `${origin.url}/policies/1`;
  const options = { agent: { http }, ...(timeoutMs !== undefined && { timeout: { request: timeoutMs } }) };
  return { run: () => got(url, options).json(), check: checkPolicy, close: () => http.destroy() };
}

/** `axios` over an agent with keep-alive. */
export async function axiosPolicy(origin: ServerAddress, { timeoutMs }: PeerOptions = {}): Promise<Case> {
  const { default: axios } = await import('axios');
  const httpAgent = new Agent({ keepAlive: true });
  const timeout = timeoutMs === undefined ? {} : { timeout: timeoutMs };
  const client = axios.create({ baseURL: origin.url, httpAgent, ...timeout });
  return {
    run: async () => (await client.get('/policies/1')).data,
    check: checkPolicy,
    close: () => httpAgent.destroy(),
  };
}
