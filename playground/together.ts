// SPDX-License-Identifier: Apache-2.0
// `playground up --clusters N`: several clusters on one network, one mesh over all of them. They share a root of trust,
// a line joins their networks, and each one's istiod is given what it needs to read the others.
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { createRoot } from '#lib/identity/authority.ts';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import { connectKube } from '#lib/kube/connect.ts';
import { kindOf, POD } from '#lib/kube/kind.ts';
import { requestPod } from '#lib/kube/port-forward.ts';
import { READER, remoteSecret } from '#lib/kube/remote-secret.ts';
import { accountToken } from '#lib/kube/token.ts';
import { loadKubeConfig } from '#lib/kube/transport.ts';
import { API_PORT } from './cluster/app.ts';
import type { Manifest } from './cluster/install.ts';
import { kubeconfigOf, readAccess } from './cluster/kubeconfig.ts';
import type { PlaygroundConfig } from './config.ts';
import { type ClusterPlan, planCluster } from './fabric/plan.ts';
import { type FabricEnd, joinFabrics } from './fabric/trunk.ts';
import { supervisorPid } from './namespaces.ts';
import { readRecord, type StatePaths } from './state.ts';
import { bringUp, type Running } from './up.ts';

const MESH = 'istio-system';
const MANAGER = 'ambit-playground';
const TOKEN_SECONDS = 365 * 86_400;
const POLL_MS = 100;
const DEBUG_PORT = 8080;
const SECRET = kindOf<Manifest>('', 'v1', 'Secret', 'secrets');

interface Member {
  readonly config: PlaygroundConfig;
  readonly paths: StatePaths;
  readonly plan: ClusterPlan;
}

/**
 * Brings all of them up as one mesh and gives their state, in order. When one fails, or this process ends before all
 * are ready, nothing stays. The first one's kubeconfig has a context for each.
 */
export async function upTogether(
  configs: readonly PlaygroundConfig[],
  onStep: (step: string) => void,
): Promise<readonly StatePaths[]> {
  const objects = configs.some(({ mesh }) => mesh) ? [await rootSecret()] : [];
  const running: Running[] = [];
  const fail = async (error: unknown): Promise<never> => {
    await Promise.all(running.map((each) => each.abandon()));
    throw error;
  };
  // The others live in the user namespace of the first, if it needs one, and that is there with its first step.
  const built = Promise.withResolvers<void>();
  const ups = configs.map(async (config, i) => {
    if (i > 0) await built.promise;
    const say = (step: string): void => {
      onStep(`${config.name}: ${step}`);
      built.resolve();
    };
    const up = await bringUp({ ...config, objects }, say, i === 0 ? undefined : configs[0]);
    running.push(up);
    return { config, paths: up.paths, plan: planCluster(config.nodes, config.cluster) };
  });
  ups[0]?.catch(built.reject);
  const outcomes = await Promise.allSettled(ups);
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) return await fail(failed.reason);
  const members = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  try {
    await join(members);
    onStep('networks joined');
    if (configs[0]?.mesh === true) {
      await introduce(members);
      onStep('each istiod reads every cluster');
    }
    writeContexts(members);
  } catch (error) {
    return await fail(error);
  }
  await Promise.all(running.map((each) => each.release()));
  return members.map(({ paths }) => paths);
}

/** One authority for all, as a plugged-in one (Istio's Secret `cacerts`). */
async function rootSecret(): Promise<Manifest> {
  const { certificatePem, keyPem, rootPem } = await createRoot({ organization: 'playground', now: Date.now() });
  const files = { 'ca-cert.pem': certificatePem, 'ca-key.pem': keyPem, 'cert-chain.pem': certificatePem };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'cacerts', namespace: MESH },
    stringData: { ...files, 'root-cert.pem': rootPem },
  } as Manifest;
}

async function join(members: readonly Member[]): Promise<void> {
  const ends = members.map(({ config, paths, plan }): FabricEnd => {
    const pid = supervisorPid(readRecord(paths)?.keeperPid ?? -1);
    if (pid === undefined) throw new AmbitError('PLAYGROUND_UP', `${config.name} has ended`);
    return { pid, plan, user: process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials'] };
  });
  for (const [i, a] of ends.entries()) for (const b of ends.slice(i + 1)) await joinFabrics(a, b);
}

/** Gives each istiod a way into every other cluster, and waits until it has read them. */
async function introduce(members: readonly Member[]): Promise<void> {
  await Promise.all(
    members.map(async (known) => {
      await using client = disposable(connectKube({ kubeconfig: known.paths.kubeconfig }));
      const { token } = await accountToken(client.it, { namespace: MESH, name: READER }, { seconds: TOKEN_SECONDS });
      const { cluster } = readAccess(known.paths.kubeconfig);
      const server = `https://${known.plan.fabric.ipv4}:${API_PORT}`;
      const authority = String(cluster['certificate-authority-data'] ?? '');
      const access = { server, 'certificate-authority-data': authority };
      const secret: Manifest = remoteSecret(known.config.name, MESH, access, token);
      for (const member of members) {
        if (member === known) continue;
        await using other = disposable(connectKube({ kubeconfig: member.paths.kubeconfig }));
        await other.it.apply(SECRET, secret, { fieldManager: MANAGER, force: true });
      }
    }),
  );
  await Promise.all(members.map((member) => acquainted(member, members)));
}

async function acquainted({ config, paths }: Member, members: readonly Member[]): Promise<void> {
  // Another implementation has other pages.
  if (config.programs.istiod !== undefined) return;
  const deadline = performance.now() + config.timeoutMs;
  const wanted = members.map((member) => member.config.name).filter((name) => name !== config.name);
  for (;;) {
    const why = await missing(paths, wanted);
    if (why === '') return;
    if (performance.now() > deadline) throw new AmbitError('PLAYGROUND_TIMEOUT', `istiod of ${config.name}: ${why}`);
    await delay(POLL_MS);
  }
}

/** Why istiod's picture lacks one of the clusters; '' when it does not. */
async function missing(paths: StatePaths, clusters: readonly string[]): Promise<string> {
  await using client = disposable(connectKube({ kubeconfig: paths.kubeconfig }));
  try {
    const { items } = await client.it.list(POD, { namespace: MESH, labelSelector: 'app=istiod' });
    const name = items[0]?.metadata.name ?? '';
    const address = { namespace: MESH, name, port: DEBUG_PORT };
    const request = { path: '/debug/sourcesz' };
    const { body } = await requestPod(loadKubeConfig({ kubeconfig: paths.kubeconfig }), address, request);
    const sources = JSON.parse(body) as Record<string, readonly { readonly healthy: boolean }[]>;
    const bad = clusters.filter((cluster) => !sources[cluster]?.every(({ healthy }) => healthy));
    return bad.length === 0 ? '' : `has not read ${bad.join(', ')}`;
  } catch (error) {
    return describeError(error);
  }
}

function writeContexts(members: readonly Member[]): void {
  const [first] = members;
  if (first === undefined) return;
  const all = members.map(({ config, paths }) => [config.name, readAccess(paths.kubeconfig)] as const);
  writeFileSync(first.paths.kubeconfig, kubeconfigOf(all), { mode: 0o600 });
}

function disposable<T extends { close(): Promise<void> }>(it: T): AsyncDisposable & { readonly it: T } {
  return { it, [Symbol.asyncDispose]: () => it.close() };
}
