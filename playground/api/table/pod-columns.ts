// SPDX-License-Identifier: Apache-2.0
// A pod's columns. STATUS is the first reason worth telling: deletion, an init container that is not done, a container
// that waits or ended, else the phase.
import { type Json, type KubeObject, listAt, numberAt, objectAt, textAt } from '../json.ts';
import { AGE, type Column, column, NAME } from './column.ts';

const statuses = (pod: KubeObject): Json[] => listAt(pod, 'status', 'containerStatuses');

function stateReason(status: Json): string | undefined {
  const waiting = textAt(status, 'state', 'waiting', 'reason');
  if (waiting) return waiting;
  const ended = objectAt(status, 'state')['terminated'];
  if (!ended) return undefined;
  const signal = numberAt(ended, 'signal');
  return textAt(ended, 'reason') || (signal ? `Signal:${signal}` : `ExitCode:${numberAt(ended, 'exitCode') ?? 0}`);
}

function initReason(pod: KubeObject): string | undefined {
  const inits = listAt(pod, 'status', 'initContainerStatuses');
  const specs = listAt(pod, 'spec', 'initContainers');
  for (const [index, status] of inits.entries()) {
    const sidecar =
      textAt(
        specs.find((item) => textAt(item, 'name') === textAt(status, 'name')),
        'restartPolicy',
      ) === 'Always';
    if (numberAt(status, 'state', 'terminated', 'exitCode') === 0) continue;
    if (sidecar && objectAt(status)['started'] === true) continue;
    const reason = stateReason(status);
    return reason && reason !== 'PodInitializing' ? `Init:${reason}` : `Init:${index}/${inits.length}`;
  }
  return undefined;
}

function podStatus(pod: KubeObject): string {
  if (pod.metadata.deletionTimestamp !== undefined)
    return textAt(pod, 'status', 'reason') === 'NodeLost' ? 'Unknown' : 'Terminating';
  const phase = textAt(pod, 'status', 'phase') ?? 'Unknown';
  const init = initReason(pod);
  if (init && phase !== 'Succeeded' && phase !== 'Failed') return init;
  const reason = statuses(pod)
    .map(stateReason)
    .find((text) => text !== undefined);
  const running = statuses(pod).some((status) => objectAt(status)['ready'] === true);
  if (reason === 'Completed' && running) return 'Running';
  const gated = listAt(pod, 'status', 'conditions').some((item) => textAt(item, 'reason') === 'SchedulingGated');
  return reason ?? textAt(pod, 'status', 'reason') ?? (gated ? 'SchedulingGated' : phase);
}

const gates = (pod: KubeObject): string => {
  const wanted = listAt(pod, 'spec', 'readinessGates');
  if (wanted.length === 0) return '<none>';
  const met = wanted.filter((gate) =>
    listAt(pod, 'status', 'conditions').some(
      (item) => textAt(item, 'type') === textAt(gate, 'conditionType') && textAt(item, 'status') === 'True',
    ),
  );
  return `${met.length}/${wanted.length}`;
};

export const podColumns: readonly Column[] = [
  NAME,
  column(
    'Ready',
    (pod) =>
      `${statuses(pod).filter((item) => objectAt(item)['ready'] === true).length}/${listAt(pod, 'spec', 'containers').length}`,
  ),
  column('Status', podStatus),
  column('Restarts', (pod) =>
    String(statuses(pod).reduce<number>((sum, item) => sum + (numberAt(item, 'restartCount') ?? 0), 0)),
  ),
  AGE,
  column('IP', (pod) => textAt(pod, 'status', 'podIP') ?? '<none>', 1),
  column('Node', (pod) => textAt(pod, 'spec', 'nodeName') || '<none>', 1),
  column('Nominated Node', (pod) => textAt(pod, 'status', 'nominatedNodeName') || '<none>', 1),
  column('Readiness Gates', gates, 1),
];
