import { WheelTimer } from '@hotpath/core';

/** A wheel timer that calls a function: for what is not armed on the hot path. */
export class CallbackTimer extends WheelTimer {
  readonly #onDue: () => void;

  constructor(onDue: () => void) {
    super();
    this.#onDue = onDue;
  }

  override onDue(): void {
    this.#onDue();
  }
}
