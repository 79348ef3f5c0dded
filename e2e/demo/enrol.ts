// SPDX-License-Identifier: Apache-2.0
// Enrolling a namespace under load, and what the servers and the access log see then: statements (b), (d) and (e).
import { eventually } from '../harness/eventually.ts';
import { type Check, expect } from './check.ts';

export const enrolled: Check = {
  id: 'b',
  sentence: 'labelling the namespace under load fails no request, breaks no connection, restarts no pod',
  run: async ({ cluster, shop }) => {
    const before = await cluster.pods('shop');
    let listed = 0;
    let explained = '';
    const requests = await shop.undisturbed(async () => {
      await cluster.kubectl('label', 'namespace', 'shop', 'istio.io/dataplane-mode=ambient');
      await eventually('every pod to be enrolled', async () =>
        (await cluster.pods('shop')).every((pod) => pod.redirection === 'enabled'),
      );
      await shop.busy(20);
      listed = await livingOn(cluster);
      explained = await explainedOn(cluster);
    });
    const after = await cluster.pods('shop');
    for (const pod of before) {
      const now = after.find(({ uid }) => uid === pod.uid);
      expect(now !== undefined && now.restarts === pod.restarts, `pod ${pod.name} was restarted or replaced`);
    }
    expect(listed > 0, 'the connections that live on are listed nowhere');
    expect(/Open since before the enrolment/.test(explained), `explain does not list them:\n${explained}`);
    return `${requests} requests, none failed; ${listed} connections live on, logged and told by explain`;
  },
};

/** How many connections the CNI agents list as older than the enrolment. */
async function livingOn(cluster: Parameters<Check['run']>[0]['cluster']): Promise<number> {
  const logs = await cluster.kubectl('logs', '-n', 'istio-system', '-l', 'k8s-app=istio-cni-node', '--tail=-1');
  return logs.split('\n').filter((line) => line.includes('connection lives on')).length;
}

async function explainedOn(cluster: Parameters<Check['run']>[0]['cluster']): Promise<string> {
  const [shopper] = await cluster.pods('shop', 'app=shopper');
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
      const { stdout } = await cluster.exec('shop', 'deploy/shopper', 'curl', '-s', '-m', '5', url);
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
    return await eventually(`a line with ${identity}`, async () => {
      await cluster.exec('shop', 'deploy/shopper', 'curl', '-s', '-m', '5', 'http://web:8080/echo');
      const logs = await cluster.kubectl('logs', '-n', 'istio-system', '-l', 'app=ztunnel', '--tail=200');
      const line = logs
        .split('\n')
        .find((text) => text.includes(`src.identity="${identity}"`) && /inbound/.test(text) && /sa\/web/.test(text));
      return line === undefined ? undefined : `src.identity="${identity}" in a line of the server's node`;
    });
  },
};
