// SPDX-License-Identifier: Apache-2.0
// Whom a pod's tunnels lead to, put together once: most connections go where one before them went.
import { AgingMap } from '#lib/kit/aging-map.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import { endpointOf } from '#lib/proxy/worker/address.ts';
import { type PeerTarget, peerTarget } from './tunnel.ts';

interface Known {
  readonly target: PeerTarget;
  /** `ip:port` of the peer. */
  readonly address: string;
}

/** Addresses remembered, of a generation. */
const MAX_KNOWN = 1024;

export class PeerTargets {
  /** The address is one value for as long as its workload's record stands. */
  readonly #known = new AgingMap<Ip, Known>({ most: MAX_KNOWN });

  /** The peer at `ip:port` that must prove one of `expected` to a client of that identity. */
  of(identity: string, expected: readonly string[], ip: Ip, port: number): Known {
    const known = this.#known.get(ip);
    if (known !== undefined && isThat(known.target, identity, expected, port)) return known;
    const target = peerTarget(identity, expected, endpointOf(ip, port));
    const made = { target, address: target.endpoint.toString() };
    this.#known.set(ip, made);
    return made;
  }
}

function isThat(target: PeerTarget, identity: string, expected: readonly string[], port: number): boolean {
  if (target.endpoint.port !== port || target.identity !== identity) return false;
  if (target.expected.length !== expected.length) return false;
  for (let i = 0; i < expected.length; i++) if (target.expected[i] !== expected[i]) return false;
  return true;
}
