// SPDX-License-Identifier: Apache-2.0
// A network namespace on a line of its own, for a program that is to be cut off: packets vanish on the line, both ways,
// and nobody is told, as in a partition.
import { type TestNetns, testNetns } from '#lib/testkit/netns.ts';
import { run } from './run.ts';

const TABLE = 'inet ambit_island';
/** Every packet but those of the namespace's own loopback. */
const CUT = `table ${TABLE} {
  chain in { type filter hook input priority 0; iifname "eth0" drop; }
  chain out { type filter hook output priority 0; oifname "eth0" drop; }
}
`;

export class Island implements AsyncDisposable {
  /** Our address on the line, and the island's. */
  readonly near: string;
  readonly far: string;
  readonly #net: TestNetns;

  private constructor(net: TestNetns, near: string, far: string) {
    this.#net = net;
    this.near = near;
    this.far = far;
  }

  static async make(): Promise<Island> {
    const net = await testNetns('ambit-island');
    const subnet = `10.213.${process.pid % 250}`;
    const device = `isle-${process.pid}`;
    try {
      await run('ip', ['link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', net.name]);
      await run('ip', ['addr', 'add', `${subnet}.1/30`, 'dev', device]);
      await run('ip', ['link', 'set', device, 'up']);
      await run('ip', ['-n', net.name, 'addr', 'add', `${subnet}.2/30`, 'dev', 'eth0']);
      await run('ip', ['-n', net.name, 'link', 'set', 'eth0', 'up']);
      return new Island(net, `${subnet}.1`, `${subnet}.2`);
    } catch (error) {
      await net[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The words that run a program on the island, before its own. */
  get words(): readonly string[] {
    return ['ip', 'netns', 'exec', this.#net.name];
  }

  async cut(): Promise<void> {
    await run('ip', ['netns', 'exec', this.#net.name, 'nft', '-f', '-'], { input: CUT });
  }

  async join(): Promise<void> {
    await run('ip', ['netns', 'exec', this.#net.name, 'nft', 'delete', 'table', ...TABLE.split(' ')]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#net[Symbol.asyncDispose]();
  }
}
