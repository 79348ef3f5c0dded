// SPDX-License-Identifier: Apache-2.0
// Whose program runs each part of the mesh on a cluster under test: ours, or a peer's with the same contract.

export type Maker = 'ambit' | 'peer';

export interface Parts {
  readonly istiod: Maker;
  readonly cni: Maker;
  /** By node. */
  readonly ztunnel: Readonly<Record<string, Maker>>;
}

export const ALL_OURS: Parts = { istiod: 'ambit', cni: 'ambit', ztunnel: { 'node-1': 'ambit', 'node-2': 'ambit' } };
