/** What is fixed when a log is made. */
export interface AuditMeta {
  readonly format: 1;
  /** The log's name, as in its checkpoints. */
  readonly origin: string;
  /** A power of two. */
  readonly segmentEntries: number;
}

/** A run of `segmentEntries` entries; the last one may be open. */
export interface StoredSegment {
  readonly number: number;
  readonly state: 'open' | 'sealed' | 'dropped';
  /** The root over its entries, unless it is open. */
  readonly root: Buffer | undefined;
}

/** Stored lines: the leaf hash in hex, a space, and the entry as canonical JSON. */
export interface StoredLines {
  readonly lines: readonly string[];
  /** What stands behind the last line and is none, because its write was cut off. */
  readonly torn: string;
}

/** Reads a log, also while another process writes it. */
export interface AuditReader {
  /** `undefined` when there is no log. */
  meta(): Promise<AuditMeta | undefined>;
  segments(): Promise<readonly StoredSegment[]>;
  lines(segment: number): Promise<StoredLines>;
  /** All nodes of a sealed segment's tree, as `MerkleTree.toBuffer` has them. */
  tree(segment: number): Promise<Buffer>;
  checkpoints(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Where an audit log is kept; one process writes it at a time. */
export interface AuditStore extends AuditReader {
  /** Makes or opens the log for writing; `meta` counts where there is none yet. */
  open(meta: AuditMeta): Promise<AuditMeta>;
  /** Cuts the open segment's end off behind `lines`; resolves with the number of bytes. */
  repair(segment: number, lines: readonly string[]): Promise<number>;
  /** Writes lines behind those that are there; after a failure the same lines come again. */
  append(segment: number, firstIndex: number, lines: readonly string[]): Promise<void>;
  /** Keeps the tree of a full segment. */
  seal(segment: number, tree: Buffer): Promise<void>;
  /** Resolves when all that was written is safe from a loss of power. */
  sync(): Promise<void>;
  /** Some nodes of a sealed segment's tree, by their positions. */
  nodes(segment: number, positions: readonly number[]): Promise<readonly Buffer[]>;
  addCheckpoint(note: string): Promise<void>;
  /** Removes a sealed segment's entries and tree, and keeps its root. */
  drop(segment: number): Promise<void>;
}
