// SPDX-License-Identifier: Apache-2.0
// Connections that were open when a pod joined the mesh and live on past the proxies, in clear and judged by no policy: the node
// agents know them.
import { AmbitError } from '#lib/kit/error.ts';
import type { Pod } from '#lib/kube/object.ts';
import type { Cluster } from '../cluster.ts';
import { nodeOf } from '../ztunnel/target.ts';

const SELECTOR = 'k8s-app=istio-cni-node';
const PORT = 15014;

/** What an agent's `/debug/pods` says of one pod, as far as it is read here. */
interface PodPage {
  readonly pod?: string;
  readonly endsInMs?: number;
  readonly open?: readonly { readonly local?: string; readonly remote?: string }[];
}

export interface PastProxy {
  /** `ip:port` of the end that opened it, as that end's namespace shows it. */
  readonly client: string;
  readonly server: string;
  /** Pods whose agents list it. */
  readonly seenIn: readonly string[];
  /** Until it is ended, in ms. */
  readonly endsInMs: number;
}

/** One end of what is looked for. */
export interface End {
  readonly pod: Pod;
  /** `ip:port` that it is the client of (`dials`) or the server at (`serves`). */
  readonly dials?: readonly string[];
  readonly serves?: { readonly port: number; readonly clients: readonly string[] };
}

/** Those of two pods' connections that match; the nodes whose agents cannot say are told by `onSilent`. */
export async function pastProxy(
  cluster: Cluster,
  ends: readonly End[],
  onSilent: (node: string, why: string) => void,
): Promise<PastProxy[]> {
  const found = new Map<string, PastProxy>();
  for (const { pod, dials = [], serves } of ends) {
    const name = `${pod.metadata.namespace}/${pod.metadata.name}`;
    const node = nodeOf(pod);
    const page = await pageOf(cluster, node, name).catch((error: unknown) => {
      onSilent(node, error instanceof Error ? error.message : String(error));
      return undefined;
    });
    for (const { local = '', remote = '' } of page?.open ?? []) {
      const served = serves !== undefined && portOf(local) === serves.port && serves.clients.includes(hostOf(remote));
      if (!served && !dials.includes(remote)) continue;
      const [client, server] = served ? [remote, local] : [local, remote];
      const known = found.get(client);
      const endsInMs = Math.min(
        page?.endsInMs ?? Number.POSITIVE_INFINITY,
        known?.endsInMs ?? Number.POSITIVE_INFINITY,
      );
      // A client that dialled a service knows its address, the server its own: one connection, the server's word is nearer.
      found.set(client, {
        client,
        server: served ? server : (known?.server ?? server),
        seenIn: [...(known?.seenIn ?? []), name],
        endsInMs,
      });
    }
  }
  return [...found.values()];
}

async function pageOf(cluster: Cluster, node: string, name: string): Promise<PodPage | undefined> {
  const agents = await cluster.pods(cluster.istioNamespace, SELECTOR);
  const agent = agents.find(({ spec, status }) => spec?.nodeName === node && status?.phase === 'Running');
  if (agent === undefined) throw new AmbitError('CNI_AGENT', `no running pod with ${SELECTOR}`);
  const { body, status } = await cluster.request(agent, PORT, { path: '/debug/pods' });
  if (status !== 200) throw new AmbitError('CNI_AGENT', `${agent.metadata.name} answered ${status}`);
  return (JSON.parse(body) as PodPage[]).find(({ pod }) => pod === name);
}

function hostOf(endpoint: string): string {
  return endpoint.slice(0, endpoint.lastIndexOf(':')).replace(/^\[|\]$/g, '');
}

function portOf(endpoint: string): number {
  return Number(endpoint.slice(endpoint.lastIndexOf(':') + 1));
}
