// SPDX-License-Identifier: Apache-2.0
// The keys of layer-7 records in the shared store, beside those of the mesh (lib/proxy/state/key.ts).
//
//   R/<name>    a route table             T/<service>   a traffic policy      L/<uid>   labels of a workload
//   M/<service> telemetry settings        W             what this proxy is
//   A           all access policies       J             all request authentications

export const WAYPOINT_KEY = 'W';
export const ACCESS_KEY = 'A';
export const AUTHENTICATION_KEY = 'J';

export const tableKey = (name: string): string => `R/${name}`;
export const policyKey = (service: string): string => `T/${service}`;
export const labelsKey = (uid: string): string => `L/${uid}`;
export const telemetryKey = (service: string): string => `M/${service}`;
