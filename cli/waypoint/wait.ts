// SPDX-License-Identifier: Apache-2.0
// Waits until a waypoint can be used.

import { setTimeout as sleep } from 'node:timers/promises';
import { AmbitError } from '#lib/kit/error.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { GATEWAY } from '#lib/kube/kind.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import { conditionOf, isProgrammed } from './gateway.ts';

const POLL_MS = 250;

/** Resolves with the Gateway once it is programmed; throws WAYPOINT_NOT_READY with what its status says instead. */
export async function untilProgrammed(
  client: KubeClient,
  address: { readonly namespace: string; readonly name: string },
  timeoutMs: number,
): Promise<GenericObject> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const gateway = await client.get(GATEWAY, address);
    if (gateway !== undefined && isProgrammed(gateway)) return gateway;
    if (performance.now() > deadline) {
      const found = gateway === undefined ? undefined : conditionOf(gateway, 'Programmed');
      const reason = found === undefined ? 'no control plane answers for it' : `${found.reason}: ${found.message}`;
      throw new AmbitError(
        'WAYPOINT_NOT_READY',
        `waypoint ${address.namespace}/${address.name} is not ready after ${timeoutMs / 1000} s: ${reason}`,
        { advice: 'see kubectl describe of its Gateway and of the pods with its gateway-name label' },
      );
    }
    await sleep(POLL_MS);
  }
}
