// SPDX-License-Identifier: Apache-2.0
// Builds the API server and joins its parts. Two of them can run in one process.
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import { createMetrics } from '#lib/kit/metrics.ts';
import { Readiness } from '#lib/kit/readiness.ts';
import { AdmissionChain } from './admission/chain.ts';
import { crdRules } from './admission/crd-rules.ts';
import { NamespaceLifecycle } from './admission/namespace-lifecycle.ts';
import { PodAdmission } from './admission/pods.ts';
import { AddressRange, ServiceAddresses } from './admission/service-addresses.ts';
import { Webhooks } from './admission/webhooks.ts';
import { auditLog, noAudit } from './audit.ts';
import { Authenticator } from './auth/authenticate.ts';
import { Authorizer } from './auth/authorizer.ts';
import { CsrSigner } from './auth/csr-signer.ts';
import { kubeconfig, Pki } from './auth/pki.ts';
import { Tokens } from './auth/tokens.ts';
import { MASTERS } from './auth/user.ts';
import { bootstrap } from './bootstrap.ts';
import type { ApiConfig } from './config.ts';
import { dialDirect, dialThrough } from './http/dial.ts';
import { Paths } from './http/paths.ts';
import { UpstreamProxy } from './http/upstream.ts';
import { Catalog } from './kinds/catalog.ts';
import { CrdController } from './kinds/crd-controller.ts';
import { builtinResources } from './kinds/table.ts';
import { Connector } from './registry/connect.ts';
import { Deleter } from './registry/delete.ts';
import { expireEvents } from './registry/expire.ts';
import { ResourceHandler } from './registry/handler.ts';
import { Reader } from './registry/read.ts';
import { RequestBodies } from './registry/request-body.ts';
import { Writer } from './registry/write.ts';
import { BuiltinSchemas } from './schema/builtin.ts';
import { checkRules } from './schema/rules.ts';
import { ApiServer } from './server.ts';
import { memoryJournal, SqliteJournal } from './store/journal.ts';
import { Store } from './store/store.ts';

export interface RunningApi {
  readonly url: string;
  readonly port: number;
  /** Admin kubeconfig, a file in the data folder. */
  readonly kubeconfig: string;
  readonly pki: Pki;
  close(): Promise<void>;
}

/** Starts the server; when this resolves it answers requests. */
export async function startApi(config: ApiConfig, { clock, log }: { clock: Clock; log: Logger }): Promise<RunningApi> {
  mkdirSync(config.data, { recursive: true, mode: 0o700 });
  const pki = await Pki.open(config.data, () => clock.now());
  const store = new Store(config.memory ? memoryJournal : new SqliteJournal(join(config.data, 'objects.sqlite')));
  const schemas = new BuiltinSchemas();
  const catalog = new Catalog();
  for (const resource of builtinResources(schemas)) catalog.put(resource);
  new CrdController(store, catalog, () => clock.now()).start();

  const tokens = new Tokens(
    pki.tokenKey,
    () => clock.now(),
    (resource, namespace, name, uid) => store.collection(resource).get(namespace, name)?.object.metadata.uid === uid,
  );
  const authorizer = new Authorizer(store);
  const connector = new Connector(store);
  const dial = config.clusterNetwork === undefined ? dialDirect : dialThrough(config.clusterNetwork);
  const ranges = config.serviceCidrs.map((cidr) => new AddressRange(cidr));
  const admission = new AdmissionChain([
    new NamespaceLifecycle(store),
    crdRules,
    new PodAdmission(store, clock),
    new ServiceAddresses(store, ranges, Math.random),
    new Webhooks(store, (namespace, name, port) => connector.endpoint(namespace, name, port), dial),
  ]);
  const reader = new Reader(store);
  const writer = new Writer({
    store,
    clock,
    admission,
    metadata: schemas.resolve('V1ObjectMeta'),
    rules: ({ version }, object, old) => checkRules(version.schema, object, old),
  });
  const deleter = new Deleter({ store, clock, reader, admission });
  const serviceAddress = ranges[0]!.at(1);
  const readiness = new Readiness();
  const bootstrapped = readiness.hold('bootstrap');
  new CsrSigner(store, pki, clock).start();
  const stopExpiry = expireEvents(store, clock);
  const metrics = createMetrics();
  const requests = metrics.counter('apiserver_request_total', 'Requests by method and status.', ['method', 'code']);
  const objects = metrics.gauge('apiserver_storage_objects', 'Stored objects by resource.', ['resource']);
  const audit = config.auditLog === undefined ? noAudit : auditLog(config.auditLog, () => clock.now());
  const server = new ApiServer({
    serving: await pki.issueServer('kube-apiserver', servingNames(config, serviceAddress), clock.now()),
    caCert: pki.caCert,
    authenticator: new Authenticator(tokens),
    authorizer,
    resources: new ResourceHandler({
      store,
      catalog,
      clock,
      bodies: new RequestBodies(catalog, schemas.resolve),
      reader,
      writer,
      deleter,
      reviews: { tokens, rbac: () => authorizer.index() },
      subresources: { store, clock, reader, writer, tokens },
    }),
    connector,
    upstream: new UpstreamProxy(await pki.issueClient('kube-apiserver-kubelet-client', [MASTERS], clock.now()), dial),
    paths: new Paths({
      catalog,
      schemas,
      tokens,
      address: () => `${config.listen.host}:${port}`,
      ready: () => readiness.ready(),
      metrics: async () => {
        for (const name of store.names()) objects.set({ resource: name }, store.collection(name).size);
        return (await metrics.text()).body;
      },
    }),
    count: (method, status) => requests.inc({ method, code: String(status) }),
    audit,
    log,
  });
  const port = await server.listen(config.listen.host, config.listen.port);
  const host = reachable(config.listen.host);
  const advertised = config.advertise ?? host;
  await bootstrap({ store, catalog, writer }, { host: advertised, port }, serviceAddress);
  bootstrapped();
  const url = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const file = join(config.data, 'kubeconfig');
  const admin = await pki.issueClient('kubernetes-admin', [MASTERS], clock.now());
  // Renamed into place: whoever waits for the file finds it whole.
  writeFileSync(`${file}.new`, kubeconfig(url, pki.caCert, 'kubernetes-admin', admin), { mode: 0o600 });
  renameSync(`${file}.new`, file);
  log.info('serving', { url, kubeconfig: file });
  const close = async (): Promise<void> => {
    stopExpiry();
    await server.close();
    store.close();
    audit.close();
  };
  return { url, port, kubeconfig: file, pki, close };
}

const reachable = (host: string): string =>
  host === '' || host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;

function servingNames(config: ApiConfig, serviceAddress: string): string[] {
  const service = [
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    'kubernetes.default.svc.cluster.local',
  ];
  const own = [
    'localhost',
    '127.0.0.1',
    '::1',
    serviceAddress,
    reachable(config.listen.host),
    ...(config.advertise ? [config.advertise] : []),
  ];
  return [...new Set([...service, ...own, ...config.names])];
}
