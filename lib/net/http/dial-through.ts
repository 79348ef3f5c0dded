// SPDX-License-Identifier: Apache-2.0
// A connection through an HTTP proxy: another way to connect, which leads to the proxy, and its consent to go on to the destination.
import type { HttpBench } from './bench.ts';
import { dialOver } from './dial-over.ts';
import { ProxyLink, type ProxyMethod } from './proxy-link.ts';
import type { Dialler, Dialling, DialOutcome } from './upstream.ts';

export interface ThroughProxy {
  readonly method: ProxyMethod;
  /** `host:port` to be led to. */
  readonly authority: string;
  /** For the proxy's answer, ms; the connection to it has its own. */
  readonly timeoutMs: number;
}

export function dialThrough(
  bench: HttpBench,
  dial: Dialler,
  { authority, method, timeoutMs }: ThroughProxy,
  outcome: DialOutcome,
): Dialling {
  const late = `the proxy did not answer ${method} in time`;
  return dialOver(
    bench.loop,
    dial,
    { timeoutMs, late, make: (below, made) => new ProxyLink(bench, below, method, authority, made) },
    outcome,
  );
}
