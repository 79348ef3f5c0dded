// SPDX-License-Identifier: Apache-2.0
//
// What a pod belongs to, told from its controller's name: telemetry names Deployments, not the pods they come and go
// with. Only pods made from a template (generateName) have such an owner.

import type { Pod } from '../object/object.ts';
import { labelsOf } from '../object/object.ts';

/** A CronJob's Jobs end in the time they were due, in minutes or seconds. */
const CRON_SUFFIX = /-\d{8,10}$/;

/** Name of the pod's owner, undefined when it has none. */
export function ownerName(pod: Pod): string | undefined {
  const { generateName, ownerReferences } = pod.metadata;
  if (generateName === undefined || generateName === '') return undefined;
  const controller = ownerReferences?.find((one) => one.controller === true);
  if (controller === undefined) return undefined;
  const { kind, name } = controller;
  const labels = labelsOf(pod);
  switch (kind) {
    case 'ReplicaSet':
      return (
        withoutSuffix(name, labels['pod-template-hash']) ??
        withoutSuffix(name, labels['rollouts-pod-template-hash']) ??
        name
      );
    case 'ReplicationController':
      return labels['deploymentconfig'] ?? name;
    case 'Job':
      return name.replace(CRON_SUFFIX, '');
    default:
      return name;
  }
}

function withoutSuffix(name: string, hash: string | undefined): string | undefined {
  if (hash === undefined || hash === '' || !name.endsWith(`-${hash}`)) return undefined;
  return name.slice(0, -hash.length - 1);
}
