// SPDX-License-Identifier: Apache-2.0
// The node agent, put together in the order in which the parts need each other: host rules, what an earlier agent left, the proxy's socket, pods,
// and at last the plugin, so that no pod asks before it can be answered.
import { join } from 'node:path';
import { type AdminServer, json, serveHttp, text } from '#lib/kit/admin.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { createMetrics } from '#lib/kit/metrics.ts';
import { Readiness } from '#lib/kit/readiness.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { EventRecorder } from '#lib/kube/events.ts';
import { Informer } from '#lib/kube/informer.ts';
import { DAEMON_SET, NAMESPACE, PEER_AUTHENTICATION, POD } from '#lib/kube/kind.ts';
import { raiseFileLimit } from '#lib/linux/process.ts';
import { assertGround } from '#lib/linux/selftest.ts';
import { FdWatch } from '#lib/loop/fd-watch.ts';
import { Enroller } from './agent/enroller.ts';
import { kubeletUid, openRuntimeNetns } from './agent/host.ts';
import { createCniMetrics } from './agent/metrics.ts';
import { NetnsFinder } from './agent/netns-finder.ts';
import { type PodPage, podPages } from './agent/pages.ts';
import { servePlugin } from './agent/plugin-server.ts';
import { PodController } from './agent/pod-controller.ts';
import type { CniConfig } from './config.ts';
import { Installer } from './install/installer.ts';
import { HostRules } from './rules/host.ts';
import { PodRedirection } from './rules/pod.ts';
import { ZdsServer } from './zds/server.ts';

const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';
const DAEMON_SET_NAME = 'istio-cni-node';

export interface AppOptions {
  readonly config: CniConfig;
  readonly client: KubeClient;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

export class App {
  readonly #close: () => Promise<void>;

  private constructor(close: () => Promise<void>) {
    this.#close = close;
  }

  /** Ends the agent; captured pods stay captured. What is on the node goes too, when the agent is being removed. */
  async stop(): Promise<void> {
    await this.#close();
  }

  static async start(options: AppOptions): Promise<App> {
    const { client, clock, config, log, random } = options;
    assertGround();
    raiseFileLimit();
    const metrics = createMetrics();
    const figures = createCniMetrics(metrics);
    const readiness = new Readiness();
    const ambientReady = readiness.hold('ambient server');
    const servers = await serveAdmin(config, readiness, metrics, () =>
      podPages(enroller.list(), clock.monotonic(), config.openConnectionMs),
    );

    const finder = new NetnsFinder(config.hostProc);
    const redirection = new PodRedirection();
    const hostNetns = config.switchToHostNetns ? finder.ofNode() : undefined;
    const uid = config.kubeletUid ?? kubeletUid(config.hostProc);
    if (uid === undefined) log.info('no kubelet found by name; probes are known by user 0', { proc: config.hostProc });
    const host = new HostRules({ netns: hostNetns, probes: config.probes, kubeletUid: uid ?? 0 });
    await host.apply([]);

    const watch = new FdWatch();
    const zds = new ZdsServer({
      path: config.zdsPath,
      watch,
      clock,
      log: log.child('zds'),
      pods: () => enroller.list(),
      onConnections: (count) => {
        figures.proxies.set(count);
        if (count === 0) enroller.proxiesGone();
      },
      onSnapshot: () => controller.requeueAll(),
    });
    const enroller = new Enroller({
      ...{ redirection, host, zds, clock, metrics: figures, log: log.child('enrol') },
      ...{ probes: config.probes, openConnectionMs: config.openConnectionMs },
      ...{ leaveMs: config.leaveMs, proxyWaitMs: config.proxyWaitMs },
    });
    const informing = { client, clock, random, log: log.child('kube') };
    const pods = new Informer({
      ...informing,
      kind: POD,
      selection: { fieldSelector: `spec.nodeName=${config.nodeName}` },
    });
    const namespaces = new Informer({ ...informing, kind: NAMESPACE });
    // Not awaited: where they are not served or not allowed, old connections only live on to their limit.
    const policies = new Informer({ ...informing, kind: PEER_AUTHENTICATION });
    policies.start();
    const controller = new PodController({
      ...{ policies, rootNamespace: config.systemNamespace },
      ...{ client, pods, namespaces, enroller, redirection, finder, clock, log: log.child('pods') },
      events: new EventRecorder({ client, clock, log, component: 'istio-cni-node', instance: config.podName }),
      eligibility: config,
      dnsCapture: config.dnsCapture,
    });

    pods.start();
    namespaces.start();
    await Promise.all([pods.whenSynced(), namespaces.whenSynced()]);
    await controller.restore();
    zds.start();
    controller.start();
    const plugin = await servePlugin({
      path: join(config.runDir, 'pluginevent.sock'),
      log: log.child('plugin'),
      metrics: figures,
      onAdd: ({ ips, name, namespace, netns }) =>
        controller.starting(namespace, name, ips, async () =>
          openRuntimeNetns(netns, config.hostRoot, config.hostProc),
        ),
    });
    ambientReady();
    const installer = startInstaller(
      options,
      readiness,
      (result) => figures.installs.inc({ result }),
      (ready) => figures.installReady.set(ready ? 1 : 0),
    );
    const reconcile = setInterval(() => {
      controller.requeueAll();
      enroller.verifyHost().catch((error: unknown) => {
        log.warn("the node's rules cannot be checked", { error: describeError(error) });
      });
    }, config.reconcileMs);

    return new App(async () => {
      clearInterval(reconcile);
      await plugin.close();
      controller.stop();
      pods.stop();
      namespaces.stop();
      policies.stop();
      zds.close();
      await installer?.stop();
      if (await isBeingRemoved(options)) {
        log.info('the agent is being removed; taking back what is on the node');
        installer?.uninstall();
        await host.remove();
      }
      watch.close();
      await Promise.all(servers.map((server) => server.close()));
      hostNetns?.close();
    });
  }
}

async function serveAdmin(
  config: CniConfig,
  readiness: Readiness,
  metrics: ReturnType<typeof createMetrics>,
  pods: () => readonly PodPage[],
): Promise<AdminServer[]> {
  const health = await serveHttp({
    host: '',
    port: config.healthPort,
    routes: {
      '/healthz': () => text('ok\n'),
      '/readyz': () =>
        readiness.ready() ? text('ok\n') : text(`waiting for ${readiness.pending().join(', ')}\n`, 503),
    },
  });
  const monitoring = await serveHttp({
    host: '',
    port: config.monitoringPort,
    routes: {
      '/metrics': async () => {
        const { body, contentType } = await metrics.text();
        return { type: contentType, body };
      },
      '/debug/pods': () => json(pods()),
    },
  });
  return [health, monitoring];
}

function startInstaller(
  { clock, config, log }: AppOptions,
  readiness: Readiness,
  onResult: (result: string) => void,
  onState: (ready: boolean) => void,
): Installer | undefined {
  if (!config.install || config.apiServer === undefined) return undefined;
  const { host, port, protocol } = config.apiServer;
  let release: (() => void) | undefined = readiness.hold('plugin installation');
  const installer = new Installer({
    confDir: config.cniNetDir,
    binDir: config.cniBinDir,
    runDir: config.runDir,
    ...(config.cniConfName === undefined ? {} : { confName: config.cniConfName }),
    settings: {
      runDir: config.runDir,
      ambient: config.ambientEnabled,
      selectors: config.selectors,
      excludedNamespaces: config.excludeNamespaces,
      agentNamespace: config.podNamespace,
    },
    server: `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    serviceAccountDir: SERVICE_ACCOUNT_DIR,
    clock,
    log: log.child('install'),
    onResult,
    onReady: (ready) => {
      onState(ready);
      if (ready) {
        release?.();
        release = undefined;
      } else release ??= readiness.hold('plugin installation');
    },
  });
  installer.start();
  return installer;
}

/** Whether the DaemonSet is gone or going: then the node must be as it was. Anything else is a restart or an upgrade. */
async function isBeingRemoved({ client, config, log }: AppOptions): Promise<boolean> {
  try {
    const daemonSet = await client.get(DAEMON_SET, { namespace: config.podNamespace, name: DAEMON_SET_NAME });
    return daemonSet === undefined || daemonSet.metadata.deletionTimestamp !== undefined;
  } catch (error) {
    log.warn('cannot tell whether the agent is being removed; the plugin stays', { error: describeError(error) });
    return false;
  }
}
