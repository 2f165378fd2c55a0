/** What a contender is in its suite: does nothing, marks the limit, is somebody else's, or is ours. */
export type Role = 'baseline' | 'limit' | 'peer' | 'ours';

/** Where a server listens; more fields as its starter gives them. Must be plain data: it is sent to the children. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  readonly url: string;
}

/** A server that the harness started; a fault suite needs the controls. */
export interface RunningServer<Address extends ServerAddress = ServerAddress> {
  readonly address: Address;
  readonly controls?: {
    kill(): Promise<void>;
    freeze(): void;
    thaw(): void;
    restart(): Promise<void>;
  };
  /** More figures of a throughput case, read after each round, such as its memory. */
  readonly figures?: () => Promise<Figures>;
  close(): Promise<void>;
}

/** Starts a server outside of the measured process; see `redisServer`, `postgresServer`, `nodeServer`. */
export type ServerStarter<Address extends ServerAddress = ServerAddress> = () => Promise<
  RunningServer<Address>
>;

export type ServerStarters = Readonly<Record<string, ServerStarter>>;

export type AddressesOf<Servers extends ServerStarters> = {
  readonly [Name in keyof Servers]: Awaited<ReturnType<Servers[Name]>>['address'];
};

/** Named numbers. The ending of a name is its unit: `Ns`, `Ms`, `Us`, `Bytes`, `PerSecond`, `Ratio`; no ending is a count. */
export type Figures = Readonly<Record<string, number>>;

/** What a contender's `setup` is told. */
export interface SetupContext<Parameters, Servers extends ServerStarters> {
  readonly parameters: Parameters;
  readonly servers: AddressesOf<Servers>;
  /** How many callers there are at once; 1 in a micro suite. */
  readonly callers: number;
  /** A smoke run: long scenarios should do with less. */
  readonly quick: boolean;
}

/** A contender that is ready to be measured. */
export interface Case {
  /**
   * Does the operation once; `index` counts up from 0. May return a promise.
   *
   * In a scenario suite it is called once a round and returns {@link Figures}.
   */
  // biome-ignore lint/suspicious/noExplicitAny: each contender has a result type of its own, which its check gets back
  run(index: number): any;
  /**
   * Throws when `result`, which `run(index)` gave, is wrong. Called outside of the timed path in micro and
   * scenario suites; in throughput suites for the first results and then for every 64th.
   */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  check(result: any, index: number): void | Promise<void>;
  /** How many operations one `run` counts for. Default 1. */
  readonly operations?: number;
  /** Fault suites: whether this result came from the server rather than from a fallback. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  usesServer?(result: any): boolean;
  /** More figures, read when the measurement is over. */
  figures?(): Figures | Promise<Figures>;
  close?(): void | Promise<void>;
}

/** One of those who are compared. It runs in a process of its own. */
export interface Contender<
  Parameters,
  Servers extends ServerStarters,
  Own extends ServerStarters = Record<never, never>,
> {
  readonly role: Role;
  /** The npm package whose version is quoted. */
  readonly library?: string;
  /** Settings worth knowing, such as `defaults` or `auto-pipelining on`. */
  readonly note?: string;
  /** Servers for this contender alone, started for each of its rounds; they win over the suite's of the same name. */
  readonly servers?: Own;
  /** Imports its library itself (`await import(…)`), so that the others' code is not in its process. */
  setup(context: SetupContext<Parameters, Servers>): Case | Promise<Case>;
}

/** A bound: a number, or so many times (and so much more than) the same figure of another contender in the same run. */
export type Bound = number | { readonly times?: number; readonly of: string; readonly plus?: number };

/** What a suite is to show. A goal whose figures are missing is not met. */
export interface Goal {
  /** Default: the one contender whose role is `ours`. */
  readonly contender?: string;
  /** The figure, such as `timeNs`, `bytesPerOp`, `opsPerSecond`, `p99Ms`, or one of the case's own. */
  readonly figure: string;
  readonly atMost?: Bound;
  readonly atLeast?: Bound;
}

interface SuiteBase<Parameters, Servers extends ServerStarters> {
  /** Unique in its package; lower case with dashes. */
  readonly name: string;
  /** One line for tables and pages. */
  readonly title: string;
  /** Plain data that all contenders share; recorded with the results. */
  readonly parameters?: Parameters;
  /** Started once for the suite, on another core than the contenders. */
  readonly servers?: Servers;
  /** Fills the servers; runs once, before the first round. */
  prepare?(context: SetupContext<Parameters, Servers>): Promise<void>;
  readonly contenders: Readonly<Record<string, Contender<Parameters, Servers, ServerStarters>>>;
  readonly goals?: readonly Goal[];
  /** How many processes each contender gets. Default: 5 micro and throughput, 3 scenario, 1 fault. */
  readonly rounds?: number;
}

/** One operation at a time, by tinybench: `timeNs`, `opsPerSecond`, `bytesPerOp`. */
export interface MicroSuite<Parameters, Servers extends ServerStarters>
  extends SuiteBase<Parameters, Servers> {
  readonly kind: 'micro';
}

/** Closed loop: each caller goes on when its last call has ended: `opsPerSecond`, `p50Ms`, `p99Ms`, `maxMs`, `cpuUs`. */
export interface ThroughputSuite<Parameters, Servers extends ServerStarters>
  extends SuiteBase<Parameters, Servers> {
  readonly kind: 'throughput';
  /** Default 64. */
  readonly callers?: number;
  /** Default 1,200. */
  readonly durationMs?: number;
  /** Calls before the measurement, until all code is compiled; a server with much code needs more. Default 400. */
  readonly warmupMs?: number;
}

/** `run` plays one whole scenario a round and returns its figures. */
export interface ScenarioSuite<Parameters, Servers extends ServerStarters>
  extends SuiteBase<Parameters, Servers> {
  readonly kind: 'scenario';
  /** The figure that contenders are compared by; `better` says which way. */
  readonly figure: string;
  readonly better: 'lower' | 'higher';
  /** Give up after so long. Default 60,000. */
  readonly timeoutMs?: number;
}

/**
 * Calls at a fixed rate while a server fails and comes back: `errors`, `longestStallMs`, `p99NormalMs`, `p99OutageMs`,
 * `p99OutageRatio` (over the normal one), `recoverMs`, `unsettled`.
 */
export interface FaultSuite<Parameters, Servers extends ServerStarters>
  extends SuiteBase<Parameters, Servers> {
  readonly kind: 'fault';
  /** Which of the servers fails. */
  readonly server: keyof Servers & string;
  /** `kill`: SIGKILL and a restart after `outageMs`; `freeze`: SIGSTOP and SIGCONT; `restart`: an orderly restart. */
  readonly script: 'kill' | 'freeze' | 'restart';
  /** Default 4,000. */
  readonly outageMs?: number;
  /** Default 1,000. */
  readonly callsPerSecond?: number;
}

export type Suite<Parameters = unknown, Servers extends ServerStarters = ServerStarters> =
  | MicroSuite<Parameters, Servers>
  | ThroughputSuite<Parameters, Servers>
  | ScenarioSuite<Parameters, Servers>
  | FaultSuite<Parameters, Servers>;

/** A suite whose types no longer matter. */
// biome-ignore lint/suspicious/noExplicitAny: a list of suites holds suites of any parameters and servers
export type AnySuite = Suite<any, any>;

const NAME = /^[a-z0-9]+(-[a-z0-9]+)*$/;

/**
 * Describes a suite; the default export of `benchmarks/<package>/<name>.bench.ts` is one of these, or an array of them.
 *
 * @throws TypeError when it has no contender that is ours, or a goal names what is not there.
 */
export function defineSuite<
  const Parameters = undefined,
  Servers extends ServerStarters = Record<never, never>,
>(suite: Suite<Parameters, Servers>): AnySuite {
  const complain = (complaint: string): never => {
    throw new TypeError(`suite ${suite.name}: ${complaint}`);
  };
  if (!NAME.test(suite.name)) complain('its name must be lower case with dashes');
  const names = Object.keys(suite.contenders);
  const ours = names.filter((name) => suite.contenders[name]?.role === 'ours');
  if (ours.length === 0) complain('no contender has the role ours');
  if (suite.kind === 'fault' && suite.servers?.[suite.server] === undefined) {
    complain(`server ${suite.server} is not one of its servers`);
  }
  for (const goal of suite.goals ?? []) {
    if (goal.contender === undefined && ours.length > 1)
      complain('a goal must name its contender, as several are ours');
    if ((goal.atMost === undefined) === (goal.atLeast === undefined)) {
      complain('a goal has either atMost or atLeast');
    }
    const bound = goal.atMost ?? goal.atLeast;
    const named = [goal.contender, typeof bound === 'object' ? bound.of : undefined];
    for (const name of named) {
      if (name !== undefined && !names.includes(name))
        complain(`a goal names ${name}, which is no contender`);
    }
  }
  return suite;
}
