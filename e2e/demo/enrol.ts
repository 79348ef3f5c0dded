// SPDX-License-Identifier: Apache-2.0
// Enrolling a namespace under load, and what the servers and the access log see then: statements (b), (d) and (e).
import type { Cluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import type { Parts } from '../harness/parts.ts';
import { type Check, expect, type Seen, type Stage } from './check.ts';

/** Why a statement about `ambit explain` does not apply. */
export const NO_EXPLAIN = 'explain: the node proxy of the client’s node is not ours and has no such page';

export const enrolled: Check = {
  id: 'b',
  sentence: 'labelling the namespace under load fails no request, breaks no connection, restarts no pod',
  run: async (stage) => {
    const { cluster, parts, shop } = stage;
    const before = await cluster.pods('shop');
    const enrol = async (): Promise<void> => {
      await cluster.kubectl('label', 'namespace', 'shop', 'istio.io/dataplane-mode=ambient');
      await eventually('every pod to be enrolled', async () =>
        (await cluster.pods('shop')).every((pod) => pod.redirection === 'enabled'),
      );
      await shop.busy(20);
    };
    const seen = await (parts.cni === 'ambit' ? undisturbed(stage, enrol) : disturbed(stage, enrol));
    const after = await cluster.pods('shop');
    for (const pod of before) {
      const now = after.find(({ uid }) => uid === pod.uid);
      expect(now !== undefined && now.restarts === pod.restarts, `pod ${pod.name} was restarted or replaced`);
    }
    return seen;
  },
};

async function undisturbed({ cluster, parts, shop }: Stage, enrol: () => Promise<void>): Promise<string | Seen> {
  let listed = 0;
  let explained: string | undefined = '';
  const requests = await shop.undisturbed(async () => {
    await enrol();
    listed = await livingOn(cluster);
    explained = await explainedOn(cluster, parts);
  });
  expect(listed > 0, 'the connections that live on are listed nowhere');
  const text = `${requests} requests, none failed; ${listed} connections live on and are logged`;
  if (explained === undefined) return { text, notApplicable: [NO_EXPLAIN] };
  expect(/Open since before the enrolment/.test(explained), `explain does not list them:\n${explained}`);
  return `${text}, and told by explain`;
}

/** Another agent redirects packets of open connections too, which ends them; whoever asks again has to get an answer. */
async function disturbed({ shop }: Stage, enrol: () => Promise<void>): Promise<Seen> {
  const { failed, broken } = await shop.disturbance(enrol);
  const seconds = await shop.undisturbed(() => shop.busy(20));
  return {
    text: `${broken} connections broke and ${failed} requests failed at enrolment, none of ${seconds} after it`,
    notApplicable: ['no connection breaks: Istio’s agent redirects open connections too, which are then reset'],
  };
}

/** How many connections the CNI agents list as older than the enrolment. */
async function livingOn(cluster: Cluster): Promise<number> {
  const logs = await cluster.kubectl('logs', '-n', 'istio-system', '-l', 'k8s-app=istio-cni-node', '--tail=-1');
  return logs.split('\n').filter((line) => line.includes('connection lives on')).length;
}

/** What explain says of the shopper's connections; undefined when the node proxy to be asked is not ours. */
async function explainedOn(cluster: Cluster, parts: Parts): Promise<string | undefined> {
  const [shopper] = await cluster.pods('shop', 'app=shopper');
  if (parts.ztunnel[shopper!.node] !== 'ambit') return undefined;
  const { stdout, stderr } = await cluster.ambit('explain', '--from', `shop/${shopper!.name}`, '--to', 'web.shop:8080');
  return `${stdout}${stderr}`;
}

export const sourceKept: Check = {
  id: 'd',
  sentence: "servers still see the client pod's address",
  run: async ({ cluster }) => {
    const [shopper] = await cluster.pods('shop', 'app=shopper');
    const seen: string[] = [];
    for (const url of ['http://web:8080/echo', 'http://catalog:8080/items']) {
      const { stdout } = await cluster.exec('shop', 'deploy/shopper', 'curl', '-s', '-m', '20', url);
      const { client, service } = JSON.parse(stdout) as { client: string; service: string };
      expect(shopper!.ips.includes(client), `${service} saw ${client}, the shopper is ${shopper!.ips.join(', ')}`);
      seen.push(`${service} saw ${client}`);
    }
    return seen.join(', ');
  },
};

export const identityLogged: Check = {
  id: 'e',
  sentence: "the peer's SPIFFE identity is in the access log",
  run: async ({ cluster }) => {
    const identity = 'spiffe://cluster.local/ns/shop/sa/shopper';
    const [web] = await cluster.pods('shop', 'app=web');
    return await eventually(`a line with ${identity}`, async () => {
      await cluster.exec('shop', 'deploy/shopper', 'curl', '-s', '-m', '20', 'http://web:8080/echo');
      const line = (await accessLog(cluster, web!.node)).find(
        (text) => text.includes(`src.identity="${identity}"`) && /inbound/.test(text) && /sa\/web/.test(text),
      );
      return line === undefined ? undefined : `src.identity="${identity}" in a line of the server's node`;
    });
  },
};

/** The last lines that the node proxy of `node` logged. */
export async function accessLog(cluster: Cluster, node: string): Promise<readonly string[]> {
  const proxies = (await cluster.pods('istio-system', 'app=ztunnel')).filter((pod) => pod.node === node);
  const logs = await Promise.all(
    proxies.map(({ name }) => cluster.kubectl('logs', '-n', 'istio-system', name, '--tail=500')),
  );
  return logs.join('\n').split('\n');
}
