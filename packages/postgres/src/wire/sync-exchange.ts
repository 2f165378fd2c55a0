import { Exchange } from './exchange.ts';
import type { WireClient } from './wire-client.ts';

/** Asks the server for nothing but an answer: the cheapest way to see that it is there. */
export class SyncExchange extends Exchange {
  readonly #settle: (error?: Error) => void;

  constructor(client: WireClient, settle: (error?: Error) => void) {
    super(client);
    this.#settle = settle;
  }

  protected override write(): void {
    this.client.writer.sync();
  }

  protected override done(): void {
    this.#settle();
  }

  protected override failed(error: Error): void {
    this.#settle(error);
  }
}
