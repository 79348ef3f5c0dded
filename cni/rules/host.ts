// SPDX-License-Identifier: Apache-2.0
// The node's own rules: connections of the kubelet to enrolled pods get a source address that the pod's rules let pass, so that probes work under any
// policy. A set per family holds the addresses of enrolled pods.
import type { Netns } from '#lib/linux/netns.ts';
import { applyNft, type NftCommand } from '#lib/linux/nft.ts';
import { counter, type Family, ownedBy, snatTo, tcp, toSet } from './expression.ts';
import { applyCommands, FAMILY, fingerprint, References, removeCommands, type Table } from './table.ts';

export const HOST_TABLE = 'istio-ambient-nat';
const SETS: Readonly<Record<Family, string>> = { ip: 'istio-inpod-probes-v4', ip6: 'istio-inpod-probes-v6' };

export interface HostRulesOptions {
  /** The node's namespace; the own one when absent. */
  readonly netns: Netns | undefined;
  /** Addresses that probes get. */
  readonly probes: Readonly<Record<Family, string>>;
  /** User id the kubelet runs as. */
  readonly kubeletUid: number;
}

export class HostRules {
  readonly #options: HostRulesOptions;
  readonly #table: Table;
  readonly #references = new References();

  constructor(options: HostRulesOptions) {
    this.#options = options;
    const snat = (family: Family) => [
      tcp,
      ownedBy(options.kubeletUid),
      toSet(family, SETS[family]),
      counter,
      snatTo(family, options.probes[family]),
    ];
    this.#table = {
      name: HOST_TABLE,
      sets: [
        { name: SETS.ip, type: 'ipv4_addr' },
        { name: SETS.ip6, type: 'ipv6_addr' },
      ],
      chains: [
        {
          name: 'postrouting',
          hook: { type: 'nat', hook: 'postrouting', priority: 100 },
          rules: [snat('ip'), snat('ip6')],
        },
      ],
    };
  }

  /** Writes the rules, and the sets anew with these pod addresses, in one transaction. */
  async apply(addresses: Iterable<string>): Promise<void> {
    await applyNft([...applyCommands([this.#table]), ...this.#fill(addresses)], this.#options.netns);
  }

  /** Makes the sets hold these pod addresses and no others. */
  async setAddresses(addresses: Iterable<string>): Promise<void> {
    await applyNft(this.#fill(addresses), this.#options.netns);
  }

  /** Whether the node's rules are as they should be. */
  async sound(): Promise<boolean> {
    return (await fingerprint(HOST_TABLE, this.#options.netns)) === (await this.#references.of(this.#table));
  }

  async remove(): Promise<void> {
    await applyNft(removeCommands([HOST_TABLE]), this.#options.netns);
  }

  #fill(addresses: Iterable<string>): NftCommand[] {
    const commands: NftCommand[] = [];
    const all = [...new Set(addresses)];
    for (const family of ['ip', 'ip6'] as const) {
      const set = { family: FAMILY, table: HOST_TABLE, name: SETS[family] };
      const elem = all.filter((address) => address.includes(':') === (family === 'ip6'));
      commands.push({ flush: { set } });
      if (elem.length > 0) commands.push({ add: { element: { ...set, elem } } });
    }
    return commands;
  }
}
