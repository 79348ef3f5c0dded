// SPDX-License-Identifier: Apache-2.0
// A network namespace for a test: made with a name of its own, gone afterwards whatever happened.
import { addNetns, deleteNetns, ipBatch } from '#lib/linux/ip.ts';
import { Netns } from '#lib/linux/netns.ts';

let made = 0;

/** A named network namespace with lo up. Dispose of it with `await using`. */
export interface TestNetns extends AsyncDisposable {
  readonly name: string;
  readonly netns: Netns;
}

export async function testNetns(prefix = 'ambit-test'): Promise<TestNetns> {
  const name = `${prefix}-${process.pid}-${++made}`;
  await addNetns(name);
  try {
    const netns = Netns.open(`/run/netns/${name}`);
    await ipBatch([['link', 'set', 'lo', 'up']], netns);
    const dispose = async () => {
      netns.close();
      await deleteNetns(name);
    };
    return { name, netns, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await deleteNetns(name);
    throw error;
  }
}

/** Joins two namespaces by a veth pair; `a` and `b` are addresses with prefix ("10.0.0.1/24", "fd00::1/64") for either end. */
export async function joinNetns(
  left: TestNetns,
  right: TestNetns,
  ends: readonly { readonly left: string; readonly right: string }[],
  names: { readonly left: string; readonly right: string } = { left: 'eth0', right: 'eth0' },
): Promise<void> {
  const peer = ['peer', 'name', names.right, 'netns', right.name];
  await ipBatch([['link', 'add', names.left, 'type', 'veth', ...peer]], left.netns);
  const side = (name: string, list: readonly string[]) => [
    ...list.map((address) => ['address', 'add', address, 'dev', name, ...(address.includes(':') ? ['nodad'] : [])]),
    ['link', 'set', name, 'up'],
  ];
  await ipBatch(
    side(
      names.left,
      ends.map((end) => end.left),
    ),
    left.netns,
  );
  await ipBatch(
    side(
      names.right,
      ends.map((end) => end.right),
    ),
    right.netns,
  );
}
