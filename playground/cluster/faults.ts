// SPDX-License-Identifier: Apache-2.0
// Breaking things on purpose: killing a program, cutting or slowing a node's link, rebooting a node.
import { readdirSync, readFileSync } from 'node:fs';
import { AmbitError } from '#lib/kit/error.ts';
import { setLink, slowLink } from '../fabric/fabric.ts';
import { POD, type PodObject } from '../kubelet/pod.ts';
import type { ClusterApp } from './app.ts';

export type Fault =
  | { readonly kind: 'kill'; readonly target: string; readonly signal?: NodeJS.Signals; readonly node?: string }
  | { readonly kind: 'cut' | 'join' | 'reboot'; readonly node: string }
  | { readonly kind: 'slow'; readonly node: string; readonly rate?: string };

/** How the pods of a program are found; a target that is none of these is `namespace/pod`. */
const SELECTORS: Readonly<Record<string, string>> = {
  istiod: 'app=istiod',
  ztunnel: 'app=ztunnel',
  'cni-agent': 'k8s-app=istio-cni-node',
  dns: 'k8s-app=kube-dns',
};

/** Causes the fault and says what was done. */
export async function cause(app: ClusterApp, fault: Fault): Promise<string> {
  switch (fault.kind) {
    case 'kill':
      return await kill(app, fault);
    case 'cut':
      await setLink(app.node(fault.node), 'down');
      return `the link of ${fault.node} is cut; 'break join ${fault.node}' joins it again`;
    case 'join':
      await setLink(app.node(fault.node), 'up');
      await slowLink(app.node(fault.node), undefined);
      return `the link of ${fault.node} is whole`;
    case 'slow':
      await slowLink(app.node(fault.node), fault.rate ?? '1mbit');
      return `the link to ${fault.node} carries ${fault.rate ?? '1mbit'}; 'break join ${fault.node}' lifts it`;
    case 'reboot':
      await app.reboot(fault.node);
      return `${fault.node} was switched off and boots`;
  }
}

async function kill(app: ClusterApp, { target, signal = 'SIGKILL', node }: Fault & { kind: 'kill' }): Promise<string> {
  const program = app.program(target);
  if (program !== undefined) {
    program.signal(signal);
    return `${signal} sent to ${target}`;
  }
  const pods = (await findPods(app, target)).filter((pod) => node === undefined || pod.spec.nodeName === node);
  if (pods.length === 0) {
    throw new AmbitError(
      'PLAYGROUND_TARGET',
      `nothing named ${target} runs${node === undefined ? '' : ` on ${node}`}`,
      {
        advice: `name api, ${Object.keys(SELECTORS).join(', ')} or NAMESPACE/POD`,
      },
    );
  }
  const uids = new Map(pods.map((pod) => [pod.metadata.uid!, `${pod.metadata.namespace}/${pod.metadata.name}`]));
  let killed = 0;
  for (const { pid, uid } of containerRoots()) {
    if (!uids.has(uid)) continue;
    process.kill(pid, signal);
    killed += 1;
  }
  if (killed === 0)
    throw new AmbitError('PLAYGROUND_TARGET', `no process of ${[...uids.values()].join(', ')} was found`);
  return `${signal} sent to ${[...uids.values()].join(', ')}`;
}

async function findPods(app: ClusterApp, target: string): Promise<readonly PodObject[]> {
  const labelSelector = SELECTORS[target];
  if (labelSelector !== undefined) return (await app.client.list(POD, { labelSelector })).items;
  const [namespace, name] = target.includes('/') ? (target.split('/') as [string, string]) : ['default', target];
  const pod = await app.client.get(POD, { namespace, name });
  return pod === undefined ? [] : [pod];
}

/** Process 1 of every container, with the pod that the place of its root file system names. */
function containerRoots(): { pid: number; uid: string }[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      // A container has a PID namespace within the node's, which is within this one.
      const ids =
        readFileSync(`/proc/${name}/status`, 'utf8')
          .match(/^NSpid:\s+(.*)$/m)?.[1]
          ?.split(/\s+/) ?? [];
      if (ids.length !== 3 || ids[2] !== '1') return [];
      const uid = readFileSync(`/proc/${name}/mountinfo`, 'utf8').match(/\/ambit\/containers\/([0-9a-f-]{36})-/)?.[1];
      return uid === undefined ? [] : [{ pid: Number(name), uid }];
    } catch {
      return [];
    }
  });
}
