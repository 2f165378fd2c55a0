/** What the caller is given: the whole answer, its body as JSON, or the body as it arrives. */
export type ResultKind = 'response' | 'json' | 'stream' | 'events';

/** One of the client's methods. */
export interface Operation {
  /** What the messages of its errors begin with. */
  readonly name: string;
  readonly kind: ResultKind;
  /** Of the request, unless that names one itself. */
  readonly method: string;
}
