// SPDX-License-Identifier: Apache-2.0
//
// Istio's kinds that nothing of ours obeys: they are taken, for an Istio beside us may, and their authors are told.

import type { KubeObject } from '../object/object.ts';
import { type ObjectProblem, ProblemList } from './problem.ts';

function tell(why: string, fix: string): (object: KubeObject) => ObjectProblem[] {
  return (object) => {
    const list = new ProblemList(object);
    list.warning('UnsupportedValue', 'kind', `has no effect here: ${why}`, fix);
    return list.problems;
  };
}

const EXTENSIONS = tell(
  'waypoints run no extensions',
  'AuthorizationPolicy with action CUSTOM asks a service of your own about each request',
);

/** By `group/kind`. */
export const NO_EFFECT: Readonly<Record<string, (object: KubeObject) => ObjectProblem[]>> = {
  'extensions.istio.io/WasmPlugin': EXTENSIONS,
  'extensions.istio.io/TrafficExtension': EXTENSIONS,
  'networking.istio.io/EnvoyFilter': tell(
    'it changes the configuration of Envoy, and there is none',
    'say it by routes, DestinationRule, AuthorizationPolicy or Telemetry',
  ),
  'networking.istio.io/Sidecar': tell(
    'there are no sidecars, and node proxies know the whole mesh',
    'limit who may call whom by AuthorizationPolicy',
  ),
  'networking.istio.io/Gateway': tell(
    'no gateway is run for it',
    'a waypoint is a Gateway of gateway.networking.k8s.io, class istio-waypoint',
  ),
};
