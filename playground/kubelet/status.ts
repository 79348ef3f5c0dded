// SPDX-License-Identifier: Apache-2.0
// The status of a pod, computed from what its containers do (Kubernetes, "Pod Lifecycle"). Pure.
import type { Condition } from '#lib/kube/object.ts';
import { type ContainerStatus, isSidecar, type PodObject, type PodStatus, qosClass } from './pod.ts';

export interface PodFacts {
  readonly pod: PodObject;
  /** RFC 3339 now, for conditions that change. */
  readonly now: string;
  readonly startTime: string;
  readonly hostIps: readonly string[];
  /** Empty until the sandbox is made. */
  readonly podIps: readonly string[];
  readonly sandboxReady: boolean;
  readonly initialized: boolean;
  readonly containers: readonly ContainerStatus[];
  readonly initContainers: readonly ContainerStatus[];
  /** The pod was deleted and all its containers have been stopped. */
  readonly stopped: boolean;
  /** Set when the kubelet itself ended the pod, e.g. past its deadline. */
  readonly failure?: { readonly reason: string; readonly message: string } | undefined;
}

const OWN_CONDITIONS = ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady'];

/** The whole status, with conditions of other owners kept as they are. */
export function podStatus(facts: PodFacts): PodStatus {
  const { pod, hostIps, podIps } = facts;
  const phase = phaseOf(facts);
  return {
    phase,
    conditions: conditionsOf(facts, phase),
    ...(facts.failure === undefined ? {} : facts.failure),
    ...(hostIps[0] === undefined ? {} : { hostIP: hostIps[0], hostIPs: hostIps.map((ip) => ({ ip })) }),
    ...(podIps[0] === undefined ? {} : { podIP: podIps[0], podIPs: podIps.map((ip) => ({ ip })) }),
    qosClass: qosClass(pod.spec),
    startTime: facts.startTime,
    containerStatuses: facts.containers,
    ...(facts.initContainers.length === 0 ? {} : { initContainerStatuses: facts.initContainers }),
  };
}

function phaseOf({ pod, containers, initialized, initContainers, failure, stopped }: PodFacts): string {
  if (failure !== undefined) return 'Failed';
  const policy = pod.spec.restartPolicy ?? 'Always';
  const exits = containers.map(exitCode);
  if (stopped) return exits.every((code) => code === 0) ? 'Succeeded' : 'Failed';
  const initFailed = initContainers.some((status) => {
    const sidecar = (pod.spec.initContainers ?? []).some((c) => c.name === status.name && isSidecar(c));
    return !sidecar && policy === 'Never' && (exitCode(status) ?? 0) !== 0;
  });
  if (initFailed) return 'Failed';
  if (!initialized) return 'Pending';
  if (policy !== 'Always' && exits.every((code) => code !== undefined)) {
    if (exits.every((code) => code === 0)) return 'Succeeded';
    if (policy === 'Never') return 'Failed';
  }
  // Before any container ever ran the pod is still pending.
  const touched = containers.some(({ state, lastState }) => !('waiting' in state) || 'terminated' in lastState);
  return touched ? 'Running' : 'Pending';
}

function exitCode({ state }: ContainerStatus): number | undefined {
  return 'terminated' in state ? state.terminated.exitCode : undefined;
}

function conditionsOf(facts: PodFacts, phase: string): Condition[] {
  const { pod, now, containers } = facts;
  const ended = phase === 'Succeeded' || phase === 'Failed';
  const unready = containers.filter(({ ready }) => !ready).map(({ name }) => name);
  const gates = (pod.spec.readinessGates ?? [])
    .map(({ conditionType }) => conditionType)
    .filter((type) => pod.status?.conditions?.find((condition) => condition.type === type)?.status !== 'True');
  const notReady = ended
    ? { reason: 'PodCompleted', message: '' }
    : { reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` };
  const containersReady = !ended && unready.length === 0;
  const wanted = [
    condition('PodReadyToStartContainers', facts.sandboxReady),
    condition('Initialized', facts.initialized, { reason: 'ContainersNotInitialized', message: '' }),
    condition(
      'Ready',
      containersReady && gates.length === 0,
      containersReady
        ? { reason: 'ReadinessGatesNotReady', message: `gates not ready: [${gates.join(' ')}]` }
        : notReady,
    ),
    condition('ContainersReady', containersReady, notReady),
  ];
  const existing = pod.status?.conditions ?? [];
  const others = existing.filter(({ type }) => !OWN_CONDITIONS.includes(type));
  const own = wanted.map((next) => {
    const before = existing.find(({ type }) => type === next.type);
    const time = before?.status === next.status ? before.lastTransitionTime : undefined;
    return { ...next, lastTransitionTime: time ?? now };
  });
  return [...own, ...others];
}

function condition(type: string, holds: boolean, otherwise?: { reason: string; message: string }): Condition {
  if (holds || otherwise === undefined) return { type, status: holds ? 'True' : 'False' };
  const { reason, message } = otherwise;
  return { type, status: 'False', reason, ...(message === '' ? {} : { message }) };
}
