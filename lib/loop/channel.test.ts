// SPDX-License-Identifier: Apache-2.0
// Both ends of a control channel over a real socket pair.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { close } from '#lib/linux/calls.ts';
import { pipe, seqpacketPair } from '#lib/linux/message.ts';
import { netnsIdentity } from '#lib/linux/netns.ts';
import { until as untilWithin } from '#lib/testkit/until.ts';
import { Channel, decodeJson } from './channel.ts';
import { FdWatch } from './fd-watch.ts';
import { Loop } from './loop.ts';
import { MainChannel } from './main-channel.ts';

interface Seen {
  messages: unknown[];
  fds: number[];
  closed: string[];
}

function listener(): { seen: Seen; handler: ConstructorParameters<typeof Channel>[2] } {
  const seen: Seen = { messages: [], fds: [], closed: [] };
  const handler = {
    onMessage(bytes: Uint8Array, fds: number[]) {
      seen.messages.push(decodeJson(bytes));
      seen.fds.push(...fds);
    },
    onClosed: (reason: string) => void seen.closed.push(reason),
  };
  return { seen, handler };
}

async function until(condition: () => boolean, turn?: () => void): Promise<void> {
  await untilWithin(String(condition), () => {
    turn?.();
    return condition();
  });
}

function makePair() {
  const loop = new Loop({ spin: false });
  const watch = new FdWatch();
  const [workerFd, mainFd] = seqpacketPair();
  const worker = listener();
  const main = listener();
  const channel = new Channel(loop, workerFd, worker.handler);
  const mainChannel = new MainChannel(watch, mainFd, main.handler);
  const dispose = () => {
    mainChannel.close();
    watch.close();
    loop.dispose();
  };
  return { loop, worker: worker.seen, main: main.seen, channel, mainChannel, [Symbol.dispose]: dispose };
}

test('messages go both ways in order, and the main process is woken without polling', async (t) => {
  // Nothing looks now and then: without the signal nobody would.
  t.mock.timers.enable({ apis: ['setInterval'] });
  using pair = makePair();
  for (let n = 0; n < 50; n++) pair.mainChannel.sendJson({ n });
  await until(
    () => pair.worker.messages.length === 50,
    () => pair.loop.turn(10),
  );
  assert.deepEqual(pair.worker.messages[49], { n: 49 });
  await new Promise((resolve) => setTimeout(resolve, 20));
  pair.channel.sendJson({ answer: 1 });
  await until(() => pair.main.messages.length === 1);
});

test('a message of megabytes arrives whole although the socket takes it in parts', async () => {
  using pair = makePair();
  const big = 'x'.repeat(3_000_000);
  assert.equal(pair.mainChannel.sendJson({ big }), true);
  assert.equal(pair.mainChannel.sendJson({ after: 1 }), true);
  await until(
    () => pair.worker.messages.length === 2,
    () => pair.loop.turn(0),
  );
  assert.deepEqual(pair.worker.messages, [{ big }, { after: 1 }]);
  pair.channel.sendJson({ big });
  await until(
    () => pair.main.messages.length === 1,
    () => pair.loop.turn(0),
  );
  assert.deepEqual(pair.main.messages, [{ big }]);
});

test('descriptors travel with their message, also when it has to wait', async () => {
  using pair = makePair();
  const [readEnd, writeEnd] = pipe();
  const identity = netnsIdentity(readEnd);
  pair.mainChannel.sendJson({ big: 'x'.repeat(3_000_000) });
  pair.mainChannel.sendJson({ fd: true }, [readEnd]);
  close(readEnd);
  close(writeEnd);
  await until(
    () => pair.worker.messages.length === 2,
    () => pair.loop.turn(0),
  );
  assert.equal(pair.worker.fds.length, 1);
  assert.equal(netnsIdentity(pair.worker.fds[0]!), identity);
  close(pair.worker.fds[0]!);
});

test('either end learns that the other closed', async () => {
  using pair = makePair();
  pair.mainChannel.close();
  await until(
    () => pair.worker.closed.length === 1,
    () => pair.loop.turn(10),
  );
  assert.match(pair.worker.closed[0]!, /closed it or ended/);
  assert.equal(pair.channel.sendJson(1), false);

  using other = makePair();
  other.channel.close();
  other.loop.turn(0);
  await until(() => other.main.closed.length === 1);
});
