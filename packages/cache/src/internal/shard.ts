import { events } from '../events.ts';
import { type Change, ChangeLog } from './change-log.ts';
import type { ChangeSink } from './change-sink.ts';
import type { Counters } from './counters.ts';
import { keyHash } from './envelope.ts';
import { type Link, LinkLost } from './link.ts';
import type { Mark } from './marks.ts';
import type { Proof } from './proof.ts';
import type { Argument } from './resp.ts';
import { type Script, scripts } from './scripts.ts';
import { parseShardState, ShardMirror, type ShardState } from './shard-state.ts';
import type { SharedReader } from './tier.ts';
import { endOfPart } from './write-parts.ts';

/** What all shards of a cache share. */
export interface ShardContext {
  readonly namespace: string;
  readonly sender: string;
  readonly sink: ChangeSink;
  readonly counters: Counters;
  readonly maxQueuedInvalidations: number;
  readonly maxMarks: number;
  readonly serverTime: ServerTime;
  readonly isCluster: boolean;
}

/** The server's clock, as far as it can be told from here. */
export class ServerTime {
  readonly #now: () => number;
  #offsetMs = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The server said `serverMs` just now; anything but a number is not believed. */
  learn(serverMs: number): void {
    if (Number.isFinite(serverMs)) this.#offsetMs = serverMs - this.#now();
  }

  now(): number {
    return this.#now() + this.#offsetMs;
  }
}

const REPLAY_BATCH = 500;

/** The keys of a cache that lie in one slot of Redis: its whole keyspace, or on a Cluster one part of many. */
export class Shard {
  readonly root: string;
  /** The hash of its root, which the hashes of its keys go on from. */
  readonly rootHash: number;
  readonly stateKey: string;
  readonly marksKey: string;
  readonly channel: string;
  readonly mirror: ShardMirror = new ShardMirror();
  readonly log: ChangeLog;
  /** The subscription's proof, while there is one. */
  proof: Proof | undefined = undefined;
  link: Link | undefined = undefined;
  /** Who wants to read it in this turn of the event loop. */
  gathered: SharedReader[] | undefined = undefined;
  publish: 'PUBLISH' | 'SPUBLISH' = 'PUBLISH';
  readonly #context: ShardContext;
  #writesBegun = 0;
  #lastText = '';
  #lastState: ShardState | undefined;

  constructor(root: string, context: ShardContext, database = 0) {
    this.root = root;
    this.rootHash = keyHash(root);
    this.stateKey = `${root}!state`;
    this.marksKey = `${root}!marks`;
    this.channel = `${root}!changes${database === 0 ? '' : `@${database}`}`;
    this.log = new ChangeLog(context.maxQueuedInvalidations);
    this.#context = context;
  }

  get isReadable(): boolean {
    return this.link?.isReadable === true;
  }

  run(link: Link, script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return link.runScript(script, [this.stateKey, ...keys], args);
  }

  /** Brings this process and the server's data into step; rejects when the link is lost on the way. */
  async recover(link: Link): Promise<string> {
    const { isCluster } = this.#context;
    const terms = [this.channel, isCluster ? '1' : '0'];
    const reply = (await this.run(link, scripts.adopt, [this.marksKey], terms)) as [
      Buffer,
      Buffer,
      number,
      Buffer,
    ];
    const state = parseShardState(reply[0]);
    if (state === undefined) throw new LinkLost('no state');
    this.publish = String(reply[1]) === 'SPUBLISH' ? 'SPUBLISH' : 'PUBLISH';
    this.#context.serverTime.learn(Number(reply[2]));
    const { mirror } = this;
    const former = mirror.history;
    const hasLost = former !== undefined && (former !== state.history || state.head < mirror.head);
    if (hasLost) {
      const since = former === state.history ? state.head : state.adopted;
      const history = former === state.history ? '' : state.history;
      this.log.enqueueLost(since, history);
    }
    if (former === undefined || hasLost) mirror.reset(state);
    await this.sync(link);
    return String(reply[3]);
  }

  /** Learns the marks that this process has missed. */
  async sync(link: Link): Promise<void> {
    const since = this.mirror.marksKnown;
    const [text, found, whole] = (await this.run(link, scripts.sync, [this.marksKey], [since])) as [
      Buffer,
      Buffer[],
      Buffer | null,
    ];
    const state = parseShardState(text);
    if (state === undefined || state.history !== this.mirror.history || whole === null) {
      throw new LinkLost('data was lost');
    }
    const marks: Mark[] = [];
    for (let index = 0; index < found.length; index += 2) {
      const mark = String(found[index]) as Mark;
      this.mirror.add(mark, Number(String(found[index + 1])));
      marks.push(mark);
    }
    this.#advance(state.head);
    this.mirror.marksKnown = Math.max(this.mirror.marksKnown, state.marks);
    if (marks.length > 0 && since > 0) this.#context.sink.addMarks(marks);
    // What Redis no longer remembers was heard of here, up to what was known: only of later ones nothing is known.
    if (this.mirror.raiseFloor(state.floor) && state.floor > since) this.#context.sink.addAll();
  }

  /**
   * Rejects unless the server still has the shard, as this process knows it, and is still its primary.
   *
   * Sent with each PING: that a subscription is alive proves nothing where the server has been replaced.
   */
  async verify(link: Link): Promise<void> {
    const headAtSend = this.mirror.head;
    // On a Cluster any other node than the slot's own answers with MOVED.
    const asksRole = this.#context.isCluster ? '0' : '1';
    const [text, role] = (await this.run(link, scripts.verify, [], [asksRole])) as [Buffer | null, Buffer];
    if (String(role) !== 'master') {
      link.leave('not a primary any more');
      throw new LinkLost('not a primary any more');
    }
    const standing = this.check(text, headAtSend);
    if (standing === 'ok') return;
    if (standing === 'lost') {
      link.distrust('data was lost');
      throw new LinkLost('data was lost');
    }
    await this.sync(link);
  }

  /** Repeats what is queued; what fails is queued again, and the link's loss thrown. */
  async repeat(link: Link): Promise<void> {
    let count = 0;
    let isClear = false;
    for (
      let change = this.log.take(REPLAY_BATCH);
      change !== undefined;
      change = this.log.take(REPLAY_BATCH)
    ) {
      let isDone = false;
      try {
        await this.apply(link, change);
        isDone = true;
      } finally {
        this.log.settle(change, isDone);
      }
      count += change.keys.length + change.marks.length;
      isClear ||= change.isAll;
    }
    if (count === 0 && !isClear) return;
    this.#context.counters.replayed += count + (isClear ? 1 : 0);
    if (events.replay.hasSubscribers) {
      events.replay.publish({ namespace: this.#context.namespace, invalidations: count, isClear });
    }
  }

  /** Does a change in Redis, one round trip for each of its kinds. */
  async apply(link: Link, change: Change): Promise<void> {
    const tasks: Promise<unknown>[] = [];
    if (change.isAll) tasks.push(this.#clear(link));
    if (change.keys.length > 0) tasks.push(this.write(link, change.keys, []));
    if (change.marks.length > 0) tasks.push(this.#mark(link, change.marks));
    const results = await Promise.allSettled(tasks);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** Deletes the keys, or stores what `values` holds for the first of them: milliseconds to live and bytes for each. */
  async write(link: Link, keys: readonly string[], values: readonly Argument[]): Promise<void> {
    const begun = ++this.#writesBegun;
    for (let start = 0, end = 0; start < keys.length; start = end) {
      end = endOfPart(keys, values, start);
      const part = keys.slice(start, end);
      await this.#writePart(link, part, values.slice(2 * start, 2 * end));
      // A later change may have overtaken this part, so that Redis has another value than this process.
      if (start > 0 && this.#writesBegun !== begun) this.#context.sink.dropKeys(part);
    }
  }

  async #writePart(link: Link, keys: readonly string[], values: readonly Argument[]): Promise<void> {
    const text = await this.run(
      link,
      scripts.write,
      keys.map((key) => this.root + key),
      [this.publish, this.channel, this.#context.sender, JSON.stringify(keys), ...values],
    );
    this.#onWritten(text, { keys, marks: [], isAll: false });
  }

  async #mark(link: Link, marks: readonly Mark[]): Promise<void> {
    const { maxMarks, sender } = this.#context;
    const [text, before] = (await this.run(
      link,
      scripts.mark,
      [this.marksKey],
      [this.publish, this.channel, sender, JSON.stringify(marks), maxMarks, ...marks],
    )) as [Buffer, Buffer];
    const state = this.#onWritten(text, { keys: [], marks, isAll: false });
    if (state === undefined) return;
    this.#learnMarks(marks, state.head, Number(String(before)));
    this.mirror.raiseFloor(state.floor);
  }

  async #clear(link: Link): Promise<void> {
    const { sender } = this.#context;
    const text = await this.run(link, scripts.clear, [this.marksKey], [this.publish, this.channel, sender]);
    const state = this.#onWritten(text, { keys: [], marks: [], isAll: true });
    if (state !== undefined) this.mirror.raiseFloor(state.floor);
  }

  #onWritten(text: unknown, change: Change): ShardState | undefined {
    const state = parseShardState(text);
    if (state === undefined) return undefined;
    this.log.remember(state.head, state.history, change);
    if (state.history === this.mirror.history) this.#advance(state.head);
    return state;
  }

  #advance(head: number): void {
    if (head > this.mirror.head) this.mirror.head = head;
  }

  /** Marks with number `sequence`, the first after number `before`. */
  #learnMarks(marks: readonly Mark[], sequence: number, before: number): void {
    for (const mark of marks) this.mirror.add(mark, sequence);
    if (before <= this.mirror.marksKnown) this.mirror.marksKnown = Math.max(this.mirror.marksKnown, sequence);
  }

  /** Another process, or this one, has published a change. */
  onMessage(text: string): void {
    const [kind, sequenceText, beforeText, sender, ...rest] = text.split(' ');
    const sequence = Number(sequenceText);
    const { sink } = this.#context;
    if (sender === this.#context.sender || !Number.isFinite(sequence)) return;
    const items = parseList(rest.join(' '));
    if (items === undefined) return;
    const change: Change =
      kind === 'k'
        ? { keys: items, marks: [], isAll: false }
        : { keys: [], marks: items as Mark[], isAll: kind === 'c' };
    this.log.remember(sequence, this.mirror.history ?? '', change);
    this.#advance(sequence);
    if (kind === 'k') sink.dropKeys(change.keys);
    else if (kind === 'c') {
      this.mirror.raiseFloor(sequence);
      this.#learnMarks([], sequence, Number(beforeText));
      sink.addAll();
    } else {
      this.#learnMarks(change.marks, sequence, Number(beforeText));
      sink.addMarks(change.marks);
    }
  }

  /**
   * Holds the state that came with a reply against what was known when it was asked for.
   *
   * `lost`: the server's data is not what it was. `behind`: there are marks that this process does not know.
   */
  check(text: Buffer | null, headAtSend: number): 'ok' | 'behind' | 'lost' {
    if (text === null) return 'lost';
    // Between invalidations the same text comes with every reply.
    const latin = text.toString('latin1');
    if (latin !== this.#lastText) {
      this.#lastText = latin;
      this.#lastState = parseShardState(latin);
    }
    const state = this.#lastState;
    if (state === undefined || state.history !== this.mirror.history || state.head < headAtSend)
      return 'lost';
    this.#advance(state.head);
    if (state.marks > this.mirror.marksKnown) return 'behind';
    this.mirror.raiseFloor(state.floor);
    return 'ok';
  }
}

/** The strings of a JSON list; `undefined` when it is none: anybody may publish anything. */
function parseList(text: string): readonly string[] | undefined {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((item) => typeof item === 'string') ? list : undefined;
  } catch {
    return undefined;
  }
}
