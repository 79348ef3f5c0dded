// SPDX-License-Identifier: Apache-2.0
// What a machine needs to join the mesh as a member of a WorkloadGroup: the files of Istio's `workload entry configure`,
// with those of our node proxy's settings that Istio's has no names for. Pure.
import { stringify } from 'yaml';
import type { WorkloadGroup } from '#lib/model/object/entry.ts';
import { registeredName } from '#lib/model/workload/machine.ts';

export interface MachineOptions {
  /** The machine's address, by which the mesh reaches it. */
  readonly internalIp: string;
  /** Where the control plane is reached from outside the cluster; '' writes no hosts. */
  readonly ingressIp: string;
  readonly clusterId: string;
  readonly istioNamespace: string;
  readonly revision: string;
  readonly trustDomain: string;
  /** Registers by connecting; otherwise its WorkloadEntry, of the name that it would get, is there. */
  readonly autoRegister: boolean;
  readonly captureDns: boolean;
  readonly rootPem: string;
  readonly token: string;
}

/** Text by file name. */
export type MachineFiles = Readonly<
  Record<'cluster.env' | 'mesh.yaml' | 'root-cert.pem' | 'istio-token' | 'hosts', string>
>;

/** Ports of the node proxy itself and of SSH. */
const LOCAL_PORTS = '22,15090,15021,15020';
const SECURE_PORT = 15012;
/** What the node proxy sets on its own packets; the redirection rules of manifests/standalone look for it. */
const PACKET_MARK = 1337;

export function machineFiles(group: WorkloadGroup, options: MachineOptions): MachineFiles {
  const { clusterId, ingressIp, internalIp, istioNamespace, revision, rootPem, token } = options;
  const { name, namespace = 'default' } = group.metadata;
  const { metadata = {}, probe, template = {} } = group.spec ?? {};
  const { labels: templateLabels = {}, network = '', ports = {}, serviceAccount = 'default' } = template;
  const labels = { ...templateLabels, ...metadata.labels };
  const host = `istiod${revision === '' || revision === 'default' ? '' : `-${revision}`}.${istioNamespace}.svc`;
  const discovery = `${host}:${SECURE_PORT}`;
  const entry = registeredName(name, internalIp, network);
  const canonical = labels['service.istio.io/canonical-name'] ?? labels['app'] ?? name;
  const membership = options.autoRegister
    ? { ISTIO_META_AUTO_REGISTER_GROUP: name }
    : { ISTIO_META_WORKLOAD_ENTRY: entry };
  const proxyMetadata = {
    CANONICAL_SERVICE: canonical,
    CANONICAL_REVISION: labels['service.istio.io/canonical-revision'] ?? labels['version'] ?? 'latest',
    POD_NAMESPACE: namespace,
    SERVICE_ACCOUNT: serviceAccount,
    TRUST_DOMAIN: options.trustDomain,
    ISTIO_META_CLUSTER_ID: clusterId,
    ISTIO_META_NETWORK: network,
    ISTIO_META_WORKLOAD_NAME: name,
    ISTIO_META_DNS_CAPTURE: String(options.captureDns),
    ISTIO_METAJSON_LABELS: JSON.stringify(labels),
    ...membership,
  };
  const environment = {
    ISTIO_INBOUND_PORTS: '*',
    ISTIO_NAMESPACE: namespace,
    ISTIO_SERVICE: `${name}.${namespace}`,
    ISTIO_SERVICE_CIDR: '*',
    ISTIO_LOCAL_EXCLUDE_PORTS: LOCAL_PORTS,
    ISTIO_SVC_IP: internalIp,
    SERVICE_ACCOUNT: serviceAccount,
    ...(Object.keys(ports).length > 0 && { ISTIO_META_POD_PORTS: JSON.stringify(ports) }),
    PROXY_MODE: 'dedicated',
    PROXY_WORKLOAD_INFO: `${namespace}/${entry}/${serviceAccount}`,
    POD_NAME: entry,
    POD_NAMESPACE: namespace,
    INSTANCE_IP: internalIp,
    NETWORK: network,
    TRUST_DOMAIN: options.trustDomain,
    ISTIO_META_CLUSTER_ID: clusterId,
    ISTIO_META_NETWORK: network,
    ISTIO_META_DNS_CAPTURE: String(options.captureDns),
    ...membership,
    XDS_ADDRESS: `https://${discovery}`,
    CA_ADDRESS: `https://${discovery}`,
    XDS_ROOT_CA: './root-cert.pem',
    CA_ROOT_CA: './root-cert.pem',
    AUTH_TOKEN: './istio-token',
    AMBIT_MESH_FILE: './mesh.yaml',
    PACKET_MARK,
  };
  const defaultConfig = {
    discoveryAddress: discovery,
    meshId: options.trustDomain,
    proxyMetadata,
    ...(probe !== undefined && { readinessProbe: probe }),
  };
  return {
    'cluster.env': Object.entries(environment)
      .map(([key, value]) => `${key}=${quoted(String(value))}\n`)
      .join(''),
    'mesh.yaml': stringify({ defaultConfig }),
    'root-cert.pem': rootPem,
    'istio-token': token,
    hosts: ingressIp === '' ? '' : `${ingressIp} ${host}\n`,
  };
}

/** For a shell that reads the file. */
function quoted(value: string): string {
  return `'${value.replaceAll("'", "'\\''")}'`;
}
