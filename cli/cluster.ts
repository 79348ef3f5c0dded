// SPDX-License-Identifier: Apache-2.0
// The cluster a command works on, reached through the Kubernetes API only.

import type { Command } from 'commander';
import { AmbitError } from '#lib/kit/error.ts';
import { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import { type Kind, POD } from '#lib/kube/kind.ts';
import type { KubeObject, Pod } from '#lib/kube/object.ts';
import { type PodAnswer, type PodRequest, requestPod } from '#lib/kube/port-forward.ts';
import { KubeConfigTransport, loadKubeConfig } from '#lib/kube/transport.ts';

/** Global options of `ambit`. */
export interface GlobalOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace?: string;
  readonly istioNamespace: string;
}

/** The part of a cluster that commands use; tests give another. */
export interface Cluster {
  /** Namespace of pods named without one. */
  readonly namespace: string;
  readonly istioNamespace: string;
  pods(namespace: string | undefined, labelSelector?: string): Promise<readonly Pod[]>;
  pod(namespace: string, name: string): Promise<Pod | undefined>;
  /** All objects of a kind; none where the kind is not served. */
  list(kind: Kind<KubeObject>): Promise<readonly KubeObject[]>;
  /** One HTTP request to a port of a pod. */
  request(pod: Pod, port: number, request: PodRequest): Promise<PodAnswer>;
  close(): Promise<void>;
}

export function connectCluster(options: GlobalOptions): Cluster {
  const config = loadKubeConfig({ kubeconfig: options.kubeconfig, context: options.context });
  const client = new KubeClient(new KubeConfigTransport(config));
  return {
    namespace: namespaceOf(options),
    istioNamespace: options.istioNamespace,
    pods: async (namespace, labelSelector) => (await client.list(POD, { namespace, labelSelector })).items,
    pod: (namespace, name) => client.get(POD, { namespace, name }),
    list: async (kind) => {
      try {
        return (await client.list(kind)).items;
      } catch (error) {
        if (isKubeError(error, 'KUBE_NOT_FOUND')) return [];
        throw error;
      }
    },
    request: (pod, port, request) =>
      requestPod(config, { namespace: pod.metadata.namespace ?? '', name: pod.metadata.name, port }, request),
    close: () => client.close(),
  };
}

/** The namespace meant: the option's, the context's, or `default`. */
function namespaceOf({ context, kubeconfig, namespace }: GlobalOptions): string {
  if (namespace !== undefined) return namespace;
  const config = loadKubeConfig({ kubeconfig, context });
  return config.getContextObject(config.getCurrentContext())?.namespace ?? 'default';
}

/** The namespace a command works on. */
export function namespaceFor(command: Command): string {
  return namespaceOf(command.optsWithGlobals<GlobalOptions>());
}

/**
 * Runs a command's work with a client of the API and lets go of it afterwards: for commands that change objects.
 * @param other context of another cluster
 */
export async function withClient<T>(
  command: Command,
  work: (client: KubeClient) => Promise<T>,
  other?: string,
): Promise<T> {
  const { context, kubeconfig } = command.optsWithGlobals<GlobalOptions>();
  const client = new KubeClient(new KubeConfigTransport(loadKubeConfig({ kubeconfig, context: other ?? context })));
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** Runs a command's work with a cluster and lets go of it afterwards. */
export async function withCluster<T>(command: Command, work: (cluster: Cluster) => Promise<T>): Promise<T> {
  const cluster = connectCluster(command.optsWithGlobals<GlobalOptions>());
  try {
    return await work(cluster);
  } finally {
    await cluster.close();
  }
}

/** `name`, `namespace/name` or `name.namespace` as the pod it means. Throws POD_NOT_FOUND. */
export async function findPod(cluster: Cluster, text: string): Promise<Pod> {
  for (const [namespace, name] of readings(text, cluster.namespace)) {
    const pod = await cluster.pod(namespace, name);
    if (pod !== undefined) return pod;
  }
  throw await podNotFound(cluster, text);
}

/** Names of pods that are told to who has not named one; more would be no help. */
const MOST_LIKELY = 5;

/** With the pods that may be meant: those whose names begin so, as the pods of a Deployment do. */
async function podNotFound(cluster: Cluster, text: string): Promise<AmbitError> {
  const [[namespace, name] = ['', '']] = readings(text, cluster.namespace);
  const found = await cluster.pods(namespace).catch((): readonly Pod[] => []);
  const meant = found
    .filter(({ metadata }) => name !== '' && metadata.name.startsWith(`${name}-`))
    .slice(0, MOST_LIKELY);
  const names = meant.map(({ metadata }) => `${namespace}/${metadata.name}`);
  return new AmbitError('POD_NOT_FOUND', `no pod ${JSON.stringify(name)} in namespace ${namespace}`, {
    advice: `${names.length > 0 ? `is ${names.join(' or ')} meant? ` : ''}name it as namespace/name, or as name with -n namespace`,
  });
}

function readings(text: string, namespace: string): [string, string][] {
  const slash = text.indexOf('/');
  if (slash !== -1) return [[text.slice(0, slash), text.slice(slash + 1)]];
  const dot = text.lastIndexOf('.');
  // A pod's name may contain dots itself, so both readings are tried.
  return dot === -1
    ? [[namespace, text]]
    : [
        [namespace, text],
        [text.slice(dot + 1), text.slice(0, dot)],
      ];
}
