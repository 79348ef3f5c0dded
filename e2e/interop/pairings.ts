// SPDX-License-Identifier: Apache-2.0
// The mixtures of our parts and a peer's that make sense: each part alone among ours, ours alone among the peer's, two
// of a kind, and a cluster whose nodes are moved from one implementation to the other one by one.
import type { Maker, Parts } from '../harness/parts.ts';

export interface Pairing {
  /** `A` for ours and `P` for the peer's: istiod, CNI agent, ztunnel of the first and of the second node. */
  readonly id: string;
  readonly why: string;
  readonly parts: Parts;
}

const WHYS: Readonly<Record<string, string>> = {
  'A A PA': 'a peer’s node proxy on the clients’ node',
  'A A AP': 'a peer’s node proxy on the servers’ node',
  'A A PP': 'peers’ node proxies under our control plane and agent',
  'P A AA': 'our agent and proxies under a peer’s control plane',
  'P A PP': 'our agent among a peer’s parts',
  'A P AA': 'a peer’s agent among our parts',
  'A P PP': 'our control plane among a peer’s parts',
  'P P AA': 'our node proxies among a peer’s parts',
  'P P PA': 'a node of a peer’s mesh moved to our proxy',
  'P P AP': 'the other node moved',
  'P P PP': 'only the peer’s parts, on the playground: what the checks say of them',
};

export const PAIRINGS: readonly Pairing[] = Object.entries(WHYS).map(([id, why]) => ({ id, why, parts: partsOf(id) }));

function partsOf(id: string): Parts {
  const maker = (letter: string | undefined): Maker => (letter === 'P' ? 'peer' : 'ambit');
  const [istiod, cni, ztunnel = ''] = id.split(' ');
  return {
    istiod: maker(istiod),
    cni: maker(cni),
    ztunnel: { 'node-1': maker(ztunnel[0]), 'node-2': maker(ztunnel[1]) },
  };
}
