// SPDX-License-Identifier: Apache-2.0
// What istiod writes to the cluster, and what it runs there.
import { VERSION } from '#lib/kit/version.ts';
import type { Given } from './given.ts';

export function readWriters({ env }: Given) {
  return {
    writeStatus: env.boolean('AMBIENT_ENABLE_STATUS', true),
    /** What is to happen to objects while no webhook answers, once one has. */
    failurePolicy:
      env.string('AMBIT_VALIDATION_FAILURE_POLICY', 'Fail') === 'Ignore' ? ('Ignore' as const) : ('Fail' as const),
    /** Whether what Gateways need is run for them. */
    deployGateways: env.boolean('PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER', true),
    /** Whether GatewayClasses that are missing are created. */
    createGatewayClasses: env.boolean('PILOT_ENABLE_GATEWAY_API_GATEWAYCLASS_CONTROLLER', true),
    /** Leaves Gateways of Istio's own classes to an Istio in the same cluster. */
    ownClassesOnly: env.boolean('AMBIT_OWN_GATEWAY_CLASSES_ONLY', false),
    /** Image of the proxies that are run for Gateways. */
    proxyImage: env.string('AMBIT_WAYPOINT_IMAGE', `ambit/waypoint:${VERSION}`),
  };
}
