// SPDX-License-Identifier: Apache-2.0
// A machine of its own for a program that is to be cut off: packets vanish on its line, both ways, and nobody is told,
// as in a partition.
import type { PodNetwork } from '#lib/testkit/pod-network.ts';
import type { ProcessPlace } from './api-server.ts';
import { run } from './run.ts';

const TABLE = 'inet ambit_island';

export class Island implements ProcessPlace {
  /** Its address on the network. */
  readonly host: string;
  /** The words that run a program on the island, before its own. */
  readonly words: readonly string[];

  constructor(network: PodNetwork, name: string) {
    const pod = network.pod(name, { captured: false });
    this.host = pod.ip;
    this.words = ['ip', 'netns', 'exec', network.netnsName(pod)];
  }

  /** From now on packets vanish, but those of its own loopback. @param observer whose packets go on passing */
  async cut(observer?: string): Promise<void> {
    const pass = (side: 'saddr' | 'daddr'): string => (observer === undefined ? '' : `ip ${side} ${observer} accept;`);
    await this.#nft(`table ${TABLE} {
      chain in { type filter hook input priority 0; ${pass('saddr')} iifname "eth0" drop; }
      chain out { type filter hook output priority 0; ${pass('daddr')} oifname "eth0" drop; }
    }`);
  }

  async join(): Promise<void> {
    await this.#nft(`delete table ${TABLE}`);
  }

  async #nft(input: string): Promise<void> {
    const [command, ...words] = this.words;
    await run(command!, [...words, 'nft', '-f', '-'], { input });
  }
}
