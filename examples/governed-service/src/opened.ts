/** What was opened so far, to be closed in the reverse order; as `AsyncDisposableStack`, which Node 22 lacks. */
export class OpenedResources {
  readonly #closers: (() => PromiseLike<void> | void)[] = [];

  /** Takes on a resource and returns it. */
  use<Resource extends AsyncDisposable>(resource: Resource): Resource {
    this.#closers.push(() => resource[Symbol.asyncDispose]());
    return resource;
  }

  /** Does this, too, when everything is closed. */
  defer(close: () => PromiseLike<void> | void): void {
    this.#closers.push(close);
  }

  /**
   * Closes everything, also when a part fails to close.
   *
   * @throws What the first of them failed with.
   */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
