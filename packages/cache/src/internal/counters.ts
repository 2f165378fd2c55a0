/** What a cache counts; each event once, at the tier where it happened. */
export class Counters {
  l1Hits = 0;
  l1Misses = 0;
  l1Evictions = 0;
  l2Hits = 0;
  l2Misses = 0;
  /** Values served beyond their freshness. */
  stale = 0;
  loads = 0;
  loadErrors = 0;
  loadsInFlight = 0;
  /** Calls that joined a load of this process. */
  joins = 0;
  /** Loads that waited for another process's. */
  leaseWaits = 0;
  /** Of these, how many loaded themselves in the end. */
  leaseTimeouts = 0;
  fills = 0;
  /** Loaded values that were not stored because they were invalidated meanwhile. */
  refusedFills = 0;
  corrupt = 0;
  /** Values that were kept out of Redis because they can't be encoded. */
  unencodable = 0;
  l2Commands = 0;
  l2Errors = 0;
  l2LatencyTotalMs = 0;
  l2LatencyMaxMs = 0;
  invalidations = 0;
  unconfirmed = 0;
  replayed = 0;
}
