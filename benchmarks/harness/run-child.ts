import { fileURLToPath } from 'node:url';
import { type NodeProcess, spawnNode } from '@hotpath/testkit';
import type { ChildMessage, ChildOrder, ParentMessage } from './child-protocol.ts';
import { CHILD_FLAGS } from './machine.ts';
import type { AnySuite, Figures, RunningServer } from './suite.ts';

const childFile = fileURLToPath(new URL('child.ts', import.meta.url));

const compileCache = fileURLToPath(new URL('../node_modules/.compiled', import.meta.url));

/**
 * Has a process of its own measure one contender once.
 *
 * @throws Error when the contender failed, or took too long.
 */
export async function runChild(
  suite: AnySuite,
  order: ChildOrder,
  servers: Readonly<Record<string, RunningServer>>,
  timeoutMs: number,
): Promise<Figures> {
  const child = spawnNode(childFile, [JSON.stringify(order)], {
    env: {
      NODE_ENV: 'production',
      FORCE_COLOR: undefined,
      // A quick run mostly waits for code to be compiled.
      NODE_COMPILE_CACHE: order.quick ? compileCache : undefined,
    },
    nodeArgs: CHILD_FLAGS,
  });
  try {
    let message = await child.receive<ChildMessage>({ timeoutMs });
    if (message.kind === 'running') {
      await playScript(suite, order, servers, child);
      message = await child.receive<ChildMessage>({ timeoutMs });
    }
    if (message.kind === 'failed') throw new Error(message.error);
    if (message.kind !== 'figures') throw new Error(`unexpected message ${message.kind}`);
    return message.figures;
  } finally {
    await child[Symbol.asyncDispose]();
  }
}

/** Takes the server away and brings it back, alike for each contender. */
async function playScript(
  suite: AnySuite,
  { timing }: ChildOrder,
  servers: Readonly<Record<string, RunningServer>>,
  child: NodeProcess,
): Promise<void> {
  if (suite.kind !== 'fault') throw new Error(`a ${suite.kind} suite has no script`);
  const controls = servers[suite.server]?.controls;
  if (controls === undefined) throw new Error(`server ${suite.server} can not be taken away`);
  const tell = (message: ParentMessage): void => child.send(message);
  const outage = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, timing.outageMs));
  tell({ kind: 'outage' });
  if (suite.script === 'freeze') {
    controls.freeze();
    await outage();
    controls.thaw();
  } else if (suite.script === 'kill') {
    await controls.kill();
    await outage();
    await controls.restart();
  } else {
    await controls.restart();
  }
  tell({ kind: 'restored' });
}
