// SPDX-License-Identifier: Apache-2.0
// A node's program: kubelet, service proxy and routes, built here from the node's configuration.
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger, type Level, type Logger } from '#lib/kit/log.ts';
import { connectKube } from '#lib/kube/connect.ts';
import { Informer } from '#lib/kube/informer.ts';
import { CONFIG_MAP, NODE, SECRET } from '#lib/kube/kind.ts';
import { loadKubeConfig } from '#lib/kube/transport.ts';
import { KUBELET_DIR } from '../fabric/machine.ts';
import type { Backend } from '../proxy/balance.ts';
import { ServiceProxy } from '../proxy/proxy.ts';
import { EventRecorder } from './event.ts';
import { Kubelet } from './kubelet.ts';
import { PodRoutes, writeCniConfig } from './network.ts';
import type { NodeConfig } from './node-config.ts';
import type { NodeRuntime } from './pod-runtime.ts';
import { KUBELET_PORT, nodeResources, Registration } from './registration.ts';
import { selfSigned } from './server/certificate.ts';
import { KubeletServer } from './server/server.ts';
import { TokenManager } from './token.ts';

const CNI_CONF_DIR = '/etc/cni/net.d';
const CNI_BIN_DIRS = ['/opt/cni/bin', '/usr/lib/cni'];
const CONTAINER_DIR = '/run/ambit/containers';

export interface NodeApp {
  readonly kubelet: Kubelet;
  readonly log: Logger;
  stop(graceSeconds: number): Promise<void>;
}

/** Starts everything a node runs. Resolves when the node is registered. */
export async function startNode(config: NodeConfig): Promise<NodeApp> {
  const log = createLogger({ scope: 'kubelet', level: config.logLevel as Level });
  const clock = systemClock;
  const random = Math.random;
  const client = connectKube({ kubeconfig: config.kubeconfig });
  mkdirSync(CONTAINER_DIR, { recursive: true, mode: 0o755 });
  chmodSync(KUBELET_DIR, 0o755);
  writeCniConfig(CNI_CONF_DIR, config.podCidrs);

  const tokens = new TokenManager(client, clock);
  const configMaps = new Informer({ client, kind: CONFIG_MAP, clock, random, log: log.child('configmaps') });
  const secrets = new Informer({ client, kind: SECRET, clock, random, log: log.child('secrets') });
  const node: NodeRuntime = {
    nodeName: config.nodeName,
    nodeIps: config.nodeIps,
    clock,
    events: new EventRecorder(client, config.nodeName, log.child('events')),
    images: config.images,
    sandbox: {
      cni: { confDir: CNI_CONF_DIR, binDirs: CNI_BIN_DIRS },
      nodeGroup: config.nodeGroup,
      nodeIps: config.nodeIps,
    },
    names: {
      domain: config.domain,
      servers: config.dnsServiceIps,
      nodeResolvConf: existsSync('/etc/resolv.conf') ? readFileSync('/etc/resolv.conf', 'utf8') : '',
    },
    allocatable: nodeResources(),
    apiService: config.apiService,
    kubeletDir: KUBELET_DIR,
    containerDir: CONTAINER_DIR,
    logDir: '/var/log/pods',
    visible: config.visible,
    nodeBinDir: config.nodeBinDir,
    programEnv: config.programEnv,
    userEnv: config.userEnv,
    mayChangeUser: config.mayChangeUser,
    userxattr: config.userxattr,
    bytes: (namespace) => (kind, name) => {
      const key = `${namespace}/${name}`;
      return kind === 'ConfigMap' ? configMapBytes(configMaps.get(key)) : secretBytes(secrets.get(key));
    },
    token: (pod) => (source) => tokens.token(pod, source),
    forgetTokens: (uid) => tokens.forget(uid),
  };
  const kubelet = new Kubelet({ client, clock, log, random, node });
  const routes = new PodRoutes(config.nodeName, log.child('routes'));
  const nodes = new Informer({ client, kind: NODE, clock, random, log: log.child('nodes') });
  nodes.subscribe(() => routes.apply([...nodes.values()]));
  const proxy = new ServiceProxy({
    ...{ client, clock, random, log: log.child('proxy'), nodeName: config.nodeName },
    overrides: new Map(
      config.apiEndpoint === undefined ? [] : [['default/kubernetes', [backendOf(config.apiEndpoint)]]],
    ),
  });
  const registration = new Registration({
    ...{ client, clock, log: log.child('node'), cniConfDir: CNI_CONF_DIR },
    ...{ nodeName: config.nodeName, nodeIps: config.nodeIps, podCidrs: config.podCidrs },
    nodeLabels: config.nodeLabels,
  });

  const server = new KubeletServer({
    ...{ kubelet, port: KUBELET_PORT, log: log.child('server'), clientCa: authorityOf(config.kubeconfig) },
    ...(await selfSigned(config.nodeName, config.nodeIps, clock.now())),
  });
  await server.start();

  for (const informer of [nodes, configMaps, secrets]) informer.start();
  await Promise.all([registration.start(), proxy.start()]);
  for (const informer of [configMaps, secrets]) informer.subscribe(() => kubelet.refresh());
  kubelet.start();
  log.info('node registered', { node: config.nodeName, ips: config.nodeIps });
  return {
    kubelet,
    log,
    stop: async (graceSeconds) => {
      registration.stop();
      proxy.stop();
      server.stop();
      await kubelet.stop(graceSeconds);
      for (const informer of [nodes, configMaps, secrets]) informer.stop();
    },
  };
}

/** The cluster's authority, from the kubeconfig; client certificates of the API server come from it. */
function authorityOf(kubeconfig: string): string {
  const data = loadKubeConfig({ kubeconfig }).getCurrentCluster()?.caData;
  return data === undefined ? '' : Buffer.from(data, 'base64').toString('utf8');
}

function backendOf(text: string): Backend {
  const at = text.lastIndexOf(':');
  return { address: text.slice(0, at), port: Number(text.slice(at + 1)) };
}

function configMapBytes(
  object:
    | { readonly data?: Readonly<Record<string, string>>; readonly binaryData?: Readonly<Record<string, string>> }
    | undefined,
): Map<string, Buffer> | undefined {
  if (object === undefined) return undefined;
  return new Map([
    ...Object.entries(object.data ?? {}).map(([key, value]): [string, Buffer] => [key, Buffer.from(value)]),
    ...Object.entries(object.binaryData ?? {}).map(([key, value]): [string, Buffer] => [
      key,
      Buffer.from(value, 'base64'),
    ]),
  ]);
}

function secretBytes(
  object: { readonly data?: Readonly<Record<string, string>> } | undefined,
): Map<string, Buffer> | undefined {
  if (object === undefined) return undefined;
  return new Map(Object.entries(object.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64')]));
}
