export { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
export { leafHashOf } from './entry.ts';
export { type ConsistencyProof, type InclusionProof, verifyConsistency, verifyInclusion } from './proofs.ts';
export type { AuditMeta, AuditReader, AuditStore, StoredLines, StoredSegment } from './store.ts';
