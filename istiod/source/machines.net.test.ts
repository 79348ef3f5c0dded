// SPDX-License-Identifier: Apache-2.0
// A mesh with no Kubernetes at all: istiod on a folder, and two machines, each a namespace with a node proxy of its own.
// Programs as their launchers start them; addresses, keys, policies and changes come from files alone.

import { match, ok } from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Endpoint } from '#lib/linux/address.ts';
import { Loop } from '#lib/loop/loop.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { PodNetwork, type TestPod } from '#lib/testkit/pod-network.ts';
import { until as untilWithin } from '#lib/testkit/until.ts';

const PATIENCE_MS = 60_000;
const ROOT = join(import.meta.dirname, '..', '..');
const VIP = '10.96.0.9';

/** What a machine's firewall does: all but tunnels and the control plane goes through the proxy. */
const FIREWALL = `
table inet ambit_machine {
  chain pre {
    type nat hook prerouting priority -100;
    tcp dport != 15008 fib daddr type local ip daddr != 127.0.0.0/8 redirect to :15006
  }
  chain out {
    type nat hook output priority -100;
    oifname "lo" accept
    tcp dport { 15008, 15012 } accept
    meta l4proto tcp ip daddr != 127.0.0.0/8 redirect to :15001
  }
}
`;

class Program implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  output = '';

  constructor(netns: string, main: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    const node = [process.execPath, '--disable-warning=ExperimentalWarning', join(ROOT, main), ...args];
    this.#child = spawn('ip', ['netns', 'exec', netns, ...node], {
      env: { PATH: process.env['PATH'] ?? '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        this.output += chunk;
      });
    }
    this.#exited = new Promise((resolve) => this.#child.once('exit', resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGTERM');
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), 30_000);
    await this.#exited;
    clearTimeout(killer);
  }
}

const token = (account: string): string => `the-token-of-${account}-which-nobody-else-knows`;

function machineYaml(name: string, account: string, address: string): string {
  return `---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}, namespace: shop}
spec: {address: ${address}, serviceAccount: ${account}, labels: {app: ${account}, networking.istio.io/tunnel: http}}
---
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: ${account}, namespace: shop, annotations: {kubernetes.io/service-account.name: ${account}}}
stringData: {token: ${token(account)}}
`;
}

const SERVICE = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: shop}
spec:
  hosts: [db.shop.test]
  addresses: [${VIP}]
  ports: [{number: 5432, name: sql, protocol: TCP}]
  resolution: STATIC
  workloadSelector: {labels: {app: db}}
`;

const policy = (caller: string): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: callers, namespace: shop}
spec:
  selector: {matchLabels: {app: db}}
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/${caller}]}}]}]
`;

test('two machines talk through a tunnel with identities and policy, from files and no Kubernetes', async () => {
  const base = mkdtempSync(join(tmpdir(), 'ambit-machines-'));
  const network = new PodNetwork();
  const loop = new Loop({ spin: false });
  const programs = new AsyncDisposableStack();
  try {
    const [plane, front, db] = ['plane', 'front', 'db'].map((name) => network.pod(name, { captured: false })) as [
      TestPod,
      TestPod,
      TestPod,
    ];
    for (const machine of [front, db]) {
      execFileSync('ip', ['netns', 'exec', network.netnsName(machine), 'nft', '-f', '-'], { input: FIREWALL });
    }
    const files = join(base, 'mesh');
    mkdirSync(files);
    writeFileSync(
      join(files, 'machines.yaml'),
      machineYaml('front-1', 'front', front.ip) + machineYaml('db-1', 'db', db.ip),
    );
    writeFileSync(join(files, 'service.yaml'), SERVICE);
    writeFileSync(join(files, 'policy.yaml'), policy('front'));
    const args = ['discovery', '--sourceDir', files, '--stateDir', join(base, 'state')];
    const istiod = programs.use(new Program(network.netnsName(plane), 'istiod/main.ts', args, {}));
    const until = (what: string, condition: () => boolean): Promise<unknown> =>
      untilWithin(
        what,
        () => {
          loop.turn(1);
          return condition();
        },
        PATIENCE_MS,
      );
    const root = join(base, 'state', 'root-cert.pem');
    await until('the root', () => existsSync(root));
    const proxy = (machine: TestPod, name: string, account: string): Program => {
      const secret = join(base, `${account}.token`);
      writeFileSync(secret, token(account));
      const serverName = 'istiod.istio-system.svc';
      const env = {
        PROXY_MODE: 'dedicated',
        PROXY_WORKLOAD_INFO: `shop/${name}/${account}`,
        POD_NAME: name,
        POD_NAMESPACE: 'shop',
        SERVICE_ACCOUNT: account,
        INSTANCE_IP: machine.ip,
        XDS_ADDRESS: `https://${plane.ip}:15012`,
        CA_ADDRESS: `https://${plane.ip}:15012`,
        ALT_XDS_HOSTNAME: serverName,
        ALT_CA_HOSTNAME: serverName,
        XDS_ROOT_CA: root,
        CA_ROOT_CA: root,
        AUTH_TOKEN: secret,
        ENABLE_ORIG_SRC: 'false',
        ISTIO_META_DNS_CAPTURE: 'false',
        ZTUNNEL_WORKER_THREADS: '1',
      };
      return programs.use(new Program(network.netnsName(machine), 'ztunnel/main.ts', ['proxy', 'ztunnel'], env));
    };
    const [frontProxy, dbProxy] = [proxy(front, 'front-1', 'front'), proxy(db, 'db-1', 'db')];
    const answer = (app: App): void => {
      app.send('rows');
      app.finish();
    };
    const server = new AppServer(loop, Endpoint.parse(db.ip, 5432)!, answer, db.netns);
    const ask = async (): Promise<string> => {
      const client = App.dial(loop, Endpoint.parse(VIP, 5432)!, front.netns);
      client.send('select');
      client.finish();
      await until('its end', () => client.end !== '');
      return client.text;
    };
    // Before both proxies hold their mesh a connection may end early.
    let deadline = performance.now() + PATIENCE_MS;
    let heard = '';
    while (heard === '' && performance.now() < deadline) {
      try {
        heard = await ask();
      } catch {
        // No listener yet.
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    match(heard, /^rows$/, `${istiod.output}\n${frontProxy.output}\n${dbProxy.output}`);
    ok(server.connections.some(({ text }) => text === 'select'));
    await until('the log', () =>
      /src\.identity="spiffe:\/\/cluster\.local\/ns\/shop\/sa\/front".*direction="inbound"/.test(dbProxy.output),
    );
    writeFileSync(join(files, 'policy.yaml'), policy('nobody'));
    let refused = false;
    deadline = performance.now() + PATIENCE_MS;
    while (!refused && performance.now() < deadline) {
      refused = (await ask()) === '';
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    ok(refused, 'the saved policy refuses the caller');
    await until('its name', () => /shop\/callers/.test(dbProxy.output));
  } finally {
    await programs.disposeAsync();
    loop.dispose();
    network[Symbol.dispose]();
    rmSync(base, { recursive: true });
  }
});
